"""
Genotypes in two bits
=====================

A genotype is 0, 1 or 2 copies of an allele, or missing: two bits hold it without loss. Files of PLINK go in by
``PackedMatrix.from_chunks("cohort.bed", sample_bits=2, missing="mean")``, or ``python -m sklearn_zipml pack`` on the
command line. Here are simulated ones, so that it is known how well any model can predict.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm

from sklearn_zipml import PackedMatrix, ZipMLRegressor

# %%
# Ten chromosomes of 200 variants. Most alleles are rare, and neighbours are inherited together: along a chromosome of a
# parent, alleles follow a process in which each remembers the last one. One genotype in fifty is missing.
rng = np.random.default_rng(0)
n_samples, n_chromosomes, n_variants, missing = 4000, 10, 200, -9


def parent_chromosome(frequency):
    """Alleles (samples, variants) with these frequencies, correlated with their neighbours."""
    latent = rng.normal(size=(n_samples, len(frequency)))
    for j in range(1, len(frequency)):
        latent[:, j] = 0.9 * latent[:, j - 1] + np.sqrt(1 - 0.9**2) * latent[:, j]
    return latent < norm.ppf(frequency)


frequencies = rng.beta(0.6, 1.2, size=(n_chromosomes, n_variants)).clip(0.02, 0.98)
genotypes = np.hstack([parent_chromosome(f).astype(np.int8) + parent_chromosome(f) for f in frequencies])
codes = np.where(rng.uniform(size=genotypes.shape) < 0.02, missing, genotypes).astype(np.int8)
packed = PackedMatrix.from_codes(codes, missing_code=missing, random_state=0)
print(f"{packed.nbytes / 1e6:.1f} MB instead of {8 * codes.size / 1e6:.0f}; {packed.missing_count.sum()} missing")

# %%
# Phenotypes: one variant in ten has an effect, and heritability is the part of the variance that all effects explain.
# No model can do better than that; how near one comes depends on the number of samples. The penalty that makes the best
# linear prediction is the ratio of the variances of noise and effects.
train, test = np.arange(3000), np.arange(3000, n_samples)
effects = rng.normal(size=genotypes.shape[1]) * (rng.uniform(size=genotypes.shape[1]) < 0.1)
signal = genotypes @ effects
signal = (signal - signal.mean()) / signal.std()
heritabilities = np.array([0.1, 0.2, 0.4, 0.6, 0.8])
noise = rng.normal(size=(n_samples, 1))
phenotypes = signal[:, None] * np.sqrt(heritabilities) + noise * np.sqrt(1 - heritabilities)
scores = []
for h2, y in zip(heritabilities, phenotypes.T, strict=True):
    alpha = (1 - h2) / h2 * genotypes.var(axis=0).sum() / len(train)
    model = ZipMLRegressor(2, alpha=alpha, random_state=0).fit(packed[train], y[train])
    scores.append(model.score(packed[test], y[test]))
    print(f"heritability {h2:.1f}: R² {scores[-1]:.3f} on new samples")

# %%
# Leave one chromosome out: variants of a chromosome are tested on what the others do not explain, so that the model
# neither hides an effect nor takes the rest of the genome for noise. Columns of packed rows stay packed.
y, h2 = phenotypes[:, 3], heritabilities[3]
alpha = (1 - h2) / h2 * genotypes.var(axis=0).sum() / n_samples
chromosome = np.repeat(np.arange(n_chromosomes), n_variants)
unexplained = np.empty((n_samples, n_chromosomes))
for left_out in range(n_chromosomes):
    rest = packed[:, chromosome != left_out]
    model = ZipMLRegressor(2, alpha=alpha, random_state=0).fit(rest, y)
    unexplained[:, left_out] = y - model.predict(rest)


def association(outcome):
    """The statistic of each variant's correlation with its outcome, chi-squared of one degree without an effect."""
    centred = genotypes - genotypes.mean(axis=0)
    outcome = outcome - outcome.mean(axis=0)
    covariance = (centred * outcome).mean(axis=0)
    return n_samples * covariance**2 / (centred.var(axis=0) * outcome.var(axis=0))


plain, others_taken_off = association(y[:, None]), association(unexplained[:, chromosome])
strong = np.argsort(effects**2 * genotypes.var(axis=0))[-20:]
print(
    f"mean statistic of the 20 strongest: {plain[strong].mean():.0f}, and {others_taken_off[strong].mean():.0f} with it"
)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
axes[0].plot([0, 1], [0, 1], color="grey", linestyle=":", label="all that can be known")
axes[0].plot(heritabilities, scores, marker="o", label="two bits, 3000 samples")
axes[0].set(xlabel="heritability", ylabel="R² of new samples")
axes[0].legend()
axes[1].plot(others_taken_off, ".", markersize=3, label="others taken off")
axes[1].plot(strong, others_taken_off[strong], "o", fillstyle="none", label="strongest effects")
axes[1].set(xlabel="variant, ten chromosomes", ylabel="association (chi-squared)")
axes[1].legend()
plt.show()

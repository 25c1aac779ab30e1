"""
Optimal against uniform levels
==============================

Evenly spaced levels waste bits on a skewed column: most of them lie where there are no values. With
``levels="optimal"``, the default, the levels of each column are placed so that stochastic rounding adds the least
variance (ZipML, arXiv:1611.05402, section 3). The first and the last stay at the minimum and maximum, so that nothing
is clipped.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor

rng = np.random.default_rng(0)
X = rng.lognormal(sigma=0.8, size=(8000, 20))
y = X @ rng.standard_normal(20) + 3 * rng.standard_normal(len(X))
levels = {
    kind: DoubleSamplingQuantizer(3, levels=kind, random_state=0).fit(X).levels_[0] for kind in ("uniform", "optimal")
}


def rounding_variance(values, levels):
    """Mean of (hi - a) (a - lo), the variance of rounding a to one of its neighbours lo and hi."""
    upper = np.clip(np.searchsorted(levels, values), 1, len(levels) - 1)
    return np.mean((levels[upper] - values) * (values - levels[upper - 1]))


for kind, row in levels.items():
    print(f"{kind}: rounding adds {rounding_variance(X[:, 0], row) / X[:, 0].var():.1%} of the column's variance")

# %%
# What is left of it in the score depends on how many bits there are:
widths = [1, 2, 3, 4, 5]
scores = {
    kind: [
        ZipMLRegressor(bits, levels=kind, random_state=0).fit(X[:6000], y[:6000]).score(X[6000:], y[6000:])
        for bits in widths
    ]
    for kind in levels
}

# %%
figure, (left, right) = plt.subplots(ncols=2, figsize=(10, 4), layout="constrained")
left.hist(X[:, 0], bins=150, color="0.8")
top = left.get_ylim()[1]
left.vlines(levels["optimal"], 0, top, color="C0", label="optimal")
left.vlines(levels["uniform"], 0, top * 0.45, color="C3", linestyle="--", label="uniform")
left.set(xlabel="value", ylabel="rows", title="A skewed column and its 8 levels", ylim=(0, top))
left.legend()
for kind, color in (("optimal", "C0"), ("uniform", "C3")):
    right.plot(widths, scores[kind], marker="o", color=color, label=kind)
right.set(xlabel="bits a value", xticks=widths, ylabel="R² on new rows", title="20 skewed columns")
right.legend()
plt.show()

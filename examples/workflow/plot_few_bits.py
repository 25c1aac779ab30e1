"""
Embeddings of 8 bits and of one
===============================

A linear probe on embeddings that were quantized before they were stored. They are packed as they are, so all that is
lost was lost before; a bit a value takes a 54th of the memory of float64, tables included.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_zipml import PackedMatrix, ZipMLLSSVC

# %%
# Embeddings of digits: random features, as wide as those of a language model.
X, y = load_digits(return_X_y=True)
rng = np.random.default_rng(0)
embeddings = np.tanh(StandardScaler().fit_transform(X) @ rng.normal(size=(64, 768)) / 8)
train, test = train_test_split(np.arange(len(X)), random_state=0, stratify=y)

# %%
# Quantized as embeddings are: 255 steps of every column's range, or the sign, eight to a byte.
start = embeddings.min(axis=0)
step = (embeddings.max(axis=0) - start) / 255
stored = {
    "int8": PackedMatrix.from_codes(
        np.rint((embeddings - start) / step - 128).astype(np.int8),
        scale=step,
        offset=start + 128 * step,
        random_state=0,
    ),
    "binary": PackedMatrix.from_codes(np.packbits(embeddings > 0, axis=1), bits=1, values=[-1, 1], random_state=0),
}

# %%
# The probes.
scores, sizes = {"float64": ZipMLLSSVC(None, random_state=0).fit(embeddings[train], y[train])}, {}
scores["float64"] = scores["float64"].score(embeddings[test], y[test])
sizes["float64"] = embeddings.nbytes
for name, packed in stored.items():
    probe = ZipMLLSSVC(packed.sample_bits, random_state=0).fit(packed[train], y[train])
    scores[name], sizes[name] = probe.score(packed[test], y[test]), packed.nbytes

figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
axes[0].bar(list(scores), list(scores.values()))
axes[0].set(ylabel="accuracy", ylim=(0.8, 1))
axes[1].bar(list(sizes), [size / 1e6 for size in sizes.values()])
axes[1].set(ylabel="MB")
plt.show()

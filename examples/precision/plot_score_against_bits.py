"""
Score against bits
==================

How many bits does a sample need? Cross-validate one model at every width, on the ten classes of the handwritten digits,
and draw the score of full precision beside it.

From 2 bits on the score is that of ``RidgeClassifier`` on float64: what is left of the differences is far below the
spread between the folds, which the band shows.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLLSSVC

X, y = load_digits(return_X_y=True)
folds = StratifiedKFold(5, shuffle=True, random_state=0)
widths = [1, 2, 3, 4, 8]
full = cross_val_score(RidgeClassifier(), X, y, cv=folds)
scores = np.array([cross_val_score(ZipMLLSSVC(bits, random_state=0), X, y, cv=folds) for bits in widths])
sizes = [DoubleSamplingQuantizer(bits, random_state=0).fit_transform(X).nbytes / 1024 for bits in widths]
for bits, score in zip(widths, scores.mean(axis=1), strict=True):
    print(f"{bits} bits: accuracy {score:.3f}")
print(f"float64: accuracy {full.mean():.3f}")

# %%
# The second axis is memory, everything the container holds included. 3 bits take the room of 4, so between 2 and 4
# there is nothing to save, only accuracy to choose.
figure, axis = plt.subplots(layout="constrained")
mean, spread = scores.mean(axis=1), scores.std(axis=1)
axis.axhline(full.mean(), color="black", linestyle="--", linewidth=1, label="RidgeClassifier, float64")
axis.plot(widths, mean, marker="o", label="ZipMLLSSVC")
axis.fill_between(widths, mean - spread, mean + spread, alpha=0.2)
axis.set(xlabel="bits a value", xticks=widths, ylabel="accuracy, mean of 5 folds")
memory = axis.twinx()
memory.bar(widths, sizes, width=0.4, color="0.85", zorder=0)
memory.set(ylabel="packed training data [KiB]", ylim=(0, 3 * max(sizes)))
axis.set_zorder(memory.get_zorder() + 1)
axis.patch.set_visible(False)
axis.legend(loc="lower right")
plt.show()

"""
Quantize once, search many
==========================

A search over bit widths need not read the floats again. Pack the data once at 8 bits; each candidate requantizes the
packed matrix to its own width, which is unbiased rounding of an unbiased value, and cheap. scikit-learn's searches
select the rows of a :class:`~sklearn_zipml.PackedMatrix` without unpacking it.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLLSSVC

X, y = load_digits(return_X_y=True)
packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
print(packed)

# %%
# The widths and the penalty are searched together.
grid = {"sample_bits": [1, 2, 3, 4, 8], "C": [1e-6, 1e-5, 1e-4, 1e-2]}
search = GridSearchCV(ZipMLLSSVC(max_iter=50, random_state=0), grid, cv=3).fit(packed, y)
print(search.best_params_, f"accuracy {search.best_score_:.3f}")

# %%
# .. note::
#
#    The levels of the packed matrix were chosen with all rows at hand, those of the test folds included. Levels carry
#    no targets, and the effect is tiny; where it has to be none, search on the array, and every fold packs its own
#    rows.
scores = np.array(search.cv_results_["mean_test_score"]).reshape(len(grid["C"]), len(grid["sample_bits"]))
figure, axis = plt.subplots(layout="constrained")
image = axis.imshow(scores, aspect="auto", cmap="viridis")
axis.set(
    xlabel="sample_bits",
    xticks=range(len(grid["sample_bits"])),
    xticklabels=grid["sample_bits"],
    ylabel="C",
    yticks=range(len(grid["C"])),
    yticklabels=[f"{C:.0e}" for C in grid["C"]],
    title="Accuracy, 3 folds, 20 candidates from one packed matrix",
)
middle = (scores.min() + scores.max()) / 2
for (i, j), score in np.ndenumerate(scores):
    axis.text(j, i, f"{score:.3f}", ha="center", va="center", color="white" if score < middle else "black")
figure.colorbar(image, label="accuracy")
plt.show()

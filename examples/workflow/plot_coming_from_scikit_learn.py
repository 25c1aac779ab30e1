"""
The same model as Ridge and RidgeClassifier
===========================================

``ZipMLRegressor`` minimises the objective of ``Ridge``, and ``ZipMLLSSVC`` that of ``RidgeClassifier``. With the
penalties translated, the coefficients agree: those of 8 bits lie on those of full precision, those of 4 and 2 bits
scatter around them.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import Ridge, RidgeClassifier

from sklearn_zipml import ZipMLLSSVC, ZipMLRegressor

# %%
# ``Ridge`` sums the squared errors, ``ZipMLRegressor`` takes their mean: ``alpha=n * alpha`` there is ``alpha`` here.
X, y = make_regression(n_samples=5000, n_features=40, noise=50.0, random_state=0)
alpha = 0.1
ridge = Ridge(alpha=len(X) * alpha).fit(X, y)

# %%
# ``RidgeClassifier`` has a penalty on the coefficients, ``ZipMLLSSVC`` a weight on the errors: ``C = 1 / alpha``.
X_class, y_class = make_classification(n_samples=5000, n_features=40, n_informative=15, n_redundant=0, random_state=0)
classifier = RidgeClassifier(alpha=10.0).fit(X_class, y_class)

# %%
plt.style.use("tableau-colorblind10")
figure, axes = plt.subplots(ncols=2, figsize=(10, 4.4), layout="constrained")
for axis, full, make, data in (
    (axes[0], ridge, lambda bits: ZipMLRegressor(bits, alpha=alpha, random_state=0), (X, y)),
    (axes[1], classifier, lambda bits: ZipMLLSSVC(bits, C=1 / 10.0, random_state=0), (X_class, y_class)),
):
    exact = np.ravel(full.coef_)
    axis.plot([exact.min(), exact.max()], [exact.min(), exact.max()], color="black", linewidth=1, linestyle="--")
    for bits, marker, color in ((2, "^", "C1"), (4, "s", "C4"), (8, "o", "C0")):
        model = make(bits).fit(*data)
        coef = np.ravel(model.coef_)
        error = np.linalg.norm(coef - exact) / np.linalg.norm(exact)
        name = type(model).__name__
        print(f"{name} at {bits} bits: coefficients {error:.1%} from {type(full).__name__}, score", end=" ")
        print(f"{model.score(*data):.4f} and {full.score(*data):.4f}")
        axis.scatter(exact, coef, s=18, marker=marker, color=color, label=f"{bits} bits: {error:.1%} off")
    axis.set(xlabel=f"coefficient of {type(full).__name__}, float64", ylabel=f"coefficient of {name}")
    axis.legend()
plt.show()

# %%
# Where columns are nearly collinear, the data hardly determines single coefficients, and those of few bits may differ
# much while the predictions agree.

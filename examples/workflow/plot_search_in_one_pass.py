"""
Penalty and width in one pass
=============================

How strong the penalty has to be depends on the data, and so does how few bits will do. ``GridSearchCV`` fits every
candidate on every fold. :class:`~sklearn_zipml.ZipMLRegressorCV` packs the rows once, sums second moments of every fold
once, and solves a small linear system for each candidate: 20 penalties at four widths take less time than the penalties
alone in ``RidgeCV``. Here both choose a penalty for random features of digits, which are to tell how far each of these
has been turned.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import rotate
from sklearn.datasets import load_digits
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_zipml import ZipMLRegressorCV

rng = np.random.default_rng(0)
images = load_digits().images[rng.integers(0, 1797, 12_000)]
angles = rng.uniform(-45, 45, len(images))
turned = [rotate(image, angle, reshape=False, order=1) for image, angle in zip(images, angles, strict=True)]
features = make_pipeline(StandardScaler(), RBFSampler(gamma=0.005, n_components=200, random_state=0))
X = features.fit_transform(np.reshape(turned, (len(images), -1))).astype(np.float32)
X, X_test, y, y_test = train_test_split(X, angles, random_state=0)

# %%
# ``alphas`` are those of a mean of squared errors: ``RidgeCV``'s, which are those of a sum, are ``n`` times as large.
alphas, bits = np.geomspace(1e-7, 1e-2, 20), [1, 2, 3, 4]
start = time.perf_counter()
search = ZipMLRegressorCV(alphas, bits, cv=5, random_state=0).fit(X, y)
seconds = time.perf_counter() - start
start = time.perf_counter()
ridge = RidgeCV(len(y) * 4 / 5 * alphas, cv=5).fit(X, y)
print(f"ZipMLRegressorCV, {len(bits)} widths: {seconds:.2f} s; RidgeCV: {time.perf_counter() - start:.2f} s")
print(f"chosen: {search.sample_bits_} bits, alpha={search.alpha_:.2g}; RidgeCV: {ridge.alpha_ / len(y) * 5 / 4:.2g}")
print(f"R2 on new rows: {search.score(X_test, y_test):.4f} and {ridge.score(X_test, y_test):.4f}")

# %%
# ``cv_results_`` has the names that searches of scikit-learn use. ``mean_test_score`` is minus the mean squared error
# on held-out rows, less what the rounding of these rows adds to it: the error on rows as they come. What a width costs
# is read off at its own best penalty, the dots.
results = search.cv_results_
fig, ax = plt.subplots(layout="constrained")
for width in bits:
    some = results["param_sample_bits"] == width
    errors = np.sqrt(-results["mean_test_score"][some])
    (line,) = ax.semilogx(alphas, errors, label=f"{width} bit{'s' * (width > 1)}")
    ax.plot(alphas[errors.argmin()], errors.min(), "o", color=line.get_color())
ax.set(
    xlabel="alpha",
    ylabel="error on held-out rows, degrees",
    title="Penalties and widths, and the best penalty of each",
)
ax.legend()
plt.show()

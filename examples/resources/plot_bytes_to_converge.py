"""
The same loss for fewer bytes
=============================

An epoch costs the same number of steps at any width and gains about the same. What differs is how many bytes it reads.
:class:`~sklearn_zipml.ConvergenceDisplay` draws the training loss against either. Both axes of the picture belong to
the same fits: 16 times fewer bytes at 2 bits than with float32.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from sklearn_zipml import ConvergenceDisplay, ZipMLLSSVC

X, y = load_digits(return_X_y=True)
even = y % 2 == 0

# %%
# Each width has an objective of its own, that of its rounded samples, and so a minimum of its own: the lines end at
# slightly different heights. ``tol=0`` runs all epochs.
plt.style.use("tableau-colorblind10")
figure, (left, right) = plt.subplots(ncols=2, figsize=(9, 4), sharey=True, layout="constrained")
for bits, color in ((None, "C3"), (8, "C0"), (4, "C1"), (2, "C5")):
    model = ZipMLLSSVC(bits, max_iter=15, tol=0, random_state=0).fit(X, even)
    display = ConvergenceDisplay.from_estimator(model, ax=left, line_kw={"color": color})
    display.plot(ax=right, x="bytes", line_kw={"color": color})
    nbytes = model.bytes_read_curve_[-1] / 2**20
    print(f"{display.name:>8}: {nbytes:5.1f} MiB read, training accuracy {model.score(X, even):.3f}")
left.get_legend().remove()
right.set_ylabel(None)
figure.suptitle("Even or odd digits: the same fits against epochs and against bytes")
plt.show()

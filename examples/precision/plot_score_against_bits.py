"""
Score against bits
==================

How many bits does a sample need? :class:`~sklearn_zipml.BitWidthCurveDisplay` cross-validates one model at every width
and at full precision, on the same folds, and draws the scores above the memory that the samples take.

On the ten classes of the handwritten digits the score from 2 bits on is that of full precision: what is left of the
differences is far below the spread between the folds, which the band shows. 3 bits take the room of 4, so between 2 and
4 there is nothing to save, only accuracy to choose.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

from sklearn_zipml import BitWidthCurveDisplay, ZipMLLSSVC

X, y = load_digits(return_X_y=True)
display = BitWidthCurveDisplay.from_estimator(
    ZipMLLSSVC(random_state=0),
    X,
    y,
    param="sample_bits",
    bits=[1, 2, 3, 4, 8],
    cv=StratifiedKFold(5, shuffle=True, random_state=0),
)
display.ax_.set_title("Ten digits, 1,797 rows of 64 pixels")
plt.show()

# %%
# The display keeps what it has drawn:
for bits, score, nbytes in zip(display.bits, display.test_scores.mean(axis=1), display.nbytes, strict=True):
    print(f"{bits} bits: accuracy {score:.3f}, {nbytes / 1024:5.1f} KiB")
print(f"float32: accuracy {display.full_scores.mean():.3f}, {display.full_nbytes / 1024:5.1f} KiB")

"""Draws the picture of README.md and of the front page: score and memory against bits, on the quickstart's job.

python doc/figures/score_and_memory.py doc/_static/score_and_memory.png
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GroupKFold

from sklearn_zipml import BitWidthCurveDisplay, ZipMLRegressor

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

IMAGES, FOLDS = 1437, 5


def main(path):
    """Write the picture."""
    import quickstart

    (X, y), _ = quickstart.job()
    X, y = X[: 20 * IMAGES], y[: 20 * IMAGES]
    splits = GroupKFold(FOLDS).split(X, y, np.arange(len(X)) % IMAGES)
    display = BitWidthCurveDisplay.from_estimator(
        ZipMLRegressor(random_state=0), X, y, param="sample_bits", bits=[1, 2, 3, 4, 8], cv=list(splits)
    )
    display.ax_.set_title(f"{len(X):,} turned digits, {X.shape[1]} random features")
    display.figure_.set_size_inches(7, 4.2)
    plt.savefig(path, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main(sys.argv[1])

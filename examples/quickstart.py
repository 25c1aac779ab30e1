"""
Quickstart
==========

How far has a handwritten digit been turned? Ridge regression on random features of 60,000 pictures, its penalty
chosen by cross-validation, at full precision and at 2 to 8 bits: memory, time and score. Then single fits, and small
data, where few bits are of no use.

Run it with ``python examples/quickstart.py``.
"""

import time
import warnings

import numpy as np
from scipy.ndimage import map_coordinates
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge, RidgeClassifier, RidgeCV
from sklearn.model_selection import train_test_split

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLLSSVC, ZipMLRegressor, ZipMLRegressorCV

COPIES, FEATURES, ALPHA = 42, 500, 1e-4
ALPHAS = np.array([1e-5, 1e-4, 1e-3])
ROW = "{:<22} {:>9} {:>10} {:>9}"


def turned(images, copies, rng):
    """Pixels of every image turned by `copies` angles, (copies * images, 64) float32, and these in degrees."""
    angles = rng.uniform(-45, 45, (copies, len(images), 1, 1)).astype(np.float32)
    cos, sin = np.cos(np.deg2rad(angles)), np.sin(np.deg2rad(angles))
    y, x = np.mgrid[:8, :8].astype(np.float32) - 3.5
    which = np.broadcast_to(np.arange(len(images))[:, None, None], (len(images), 8, 8))
    pixels = [
        map_coordinates(images, [which, c * y - s * x + 3.5, s * y + c * x + 3.5], order=1)
        for c, s in zip(cos, sin, strict=True)
    ]
    return np.concatenate(pixels).reshape(-1, 64), angles.ravel()


def random_features(pixels, rng):
    """Waves across the pixels, of random directions, lengths and phases: in them a linear model is a kernel method."""
    waves = rng.standard_normal((64, FEATURES), dtype=np.float32) * np.float32(0.55)
    phases = rng.uniform(0, 2 * np.pi, FEATURES).astype(np.float32)
    for first in range(0, len(pixels), 4096):
        yield np.cos(pixels[first : first + 4096] @ waves + phases)


def job(seed=0):
    """Training and test rows: all turns of an image are in one of them."""
    images = load_digits().images.astype(np.float32) / 16
    parts, rng = train_test_split(images, test_size=0.2, random_state=seed), np.random.default_rng(seed)
    for part, copies in zip(parts, (COPIES, 10), strict=True):
        pixels, angles = turned(part, copies, rng)
        yield np.concatenate(list(random_features(pixels, np.random.default_rng(seed)))), angles


def fitted(model, X, y):
    """Fitted model and seconds."""
    start = time.perf_counter()
    model.fit(X, y)
    return model, time.perf_counter() - start


def where_it_pays():
    """Print the table of the job; what 4 bits save, and cost."""
    print("How far has a digit been turned? Making the features ...", flush=True)
    (X, y), (X_test, y_test) = job()
    n = len(X)
    print(f"{n:,} rows of {X.shape[1]} columns; {len(ALPHAS)} penalties, 5 folds; {len(X_test):,} test rows\n")
    print(ROW.format("samples", "memory", "search", "test R²"))
    # a penalty of Ridge is that of the sum over the rows of a training fold
    model, slowest = fitted(RidgeCV(ALPHAS * n * 0.8, cv=5), X, y)
    full = model.score(X_test, y_test)
    print(ROW.format("RidgeCV, float32", f"{X.nbytes / 1e6:.0f} MB", f"{slowest:.2f} s", f"{full:.4f}"), flush=True)
    saved = {}
    for bits in (8, 4, 3, 2):
        start = time.perf_counter()
        packed = DoubleSamplingQuantizer(bits, random_state=0).fit_transform(X)
        model = ZipMLRegressorCV(ALPHAS, bits, cv=5, random_state=0).fit(packed, y)
        seconds, score = time.perf_counter() - start, model.score(X_test, y_test)
        print(
            ROW.format(f"{bits} bits", f"{packed.nbytes / 1e6:.0f} MB", f"{seconds:.2f} s", f"{score:.4f}"), flush=True
        )
        saved[bits] = slowest / seconds, X.nbytes / packed.nbytes, score - full
    full, slowest = fitted(Ridge(alpha=ALPHA * n), X, y)
    model, seconds = fitted(ZipMLRegressor(4, alpha=ALPHA, random_state=0), X, y)
    scores = [m.score(X_test, y_test) for m in (full, model)]
    print(
        f"\nOne fit: Ridge {slowest:.2f} s, R² {scores[0]:.4f}; 4 bits {seconds:.2f} s, R² {scores[1]:.4f}, of which "
        "packing is most"
    )
    return saved[4]


def where_it_does_not():
    """Print a line for each of three small sets."""
    print("\nWhere it does not pay: a few hundred rows (time and score of Ridge, then at 4 and at 2 bits)")
    sets = {
        "diabetes": (load_diabetes, lambda n: Ridge(alpha=ALPHA * n), ZipMLRegressor),
        "breast cancer": (load_breast_cancer, lambda n: RidgeClassifier(), ZipMLLSSVC),
        "digits": (load_digits, lambda n: RidgeClassifier(), ZipMLLSSVC),
    }
    for name, (load, reference, ours) in sets.items():
        X, X_test, y, y_test = train_test_split(*load(return_X_y=True), random_state=0)
        columns = []
        for model in (reference(len(X)), ours(4, random_state=0), ours(2, random_state=0)):
            seconds = min(fitted(model, X, y)[1] for _ in range(3))
            columns.append(f"{1e3 * seconds:5.1f} ms {model.score(X_test, y_test):.3f}")
        print(f"{name:<13} {len(X):>5} x {X.shape[1]:<3} " + "   ".join(columns))


def main():
    """Print both tables, and what the first one says."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # breast cancer is nearly collinear; its accuracy is not hurt
    time_saved, memory_saved, loss = where_it_pays()
    where_it_does_not()
    print(
        f"\n60,000 turned digits at 4 bits: {time_saved:.1f} times less time and {memory_saved:.1f} times less memory "
        f"than RidgeCV, test R² {loss:+.4f}"
    )


if __name__ == "__main__":
    main()

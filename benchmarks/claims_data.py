"""Data sets of the paper: made as there, shipped with scikit-learn, fetched by it, or read from files.

Files are those of the LIBSVM collection (compressed or not, a test set in NAME.t), tables NAME.csv or NAME.csv.gz with
a header and the target last, and UCI's YearPredictionMSD.txt, without a header and the target first.
"""

import pathlib
import tempfile
from dataclasses import dataclass

import numpy as np
from sklearn.datasets import dump_svmlight_file, fetch_california_housing, load_digits, load_svmlight_file
from sklearn.linear_model import Ridge, RidgeClassifier

from sklearn_zipml import ZipMLLSSVC, ZipMLRegressor

ALPHA = 1e-4
# Names and whether the target is classes.
FILES = {"cadata": False, "YearPredictionMSD": False, "cpusmall_scale": False, "cod-rna": True, "gisette_scale": True}
COMPRESSED = ("", ".bz2", ".gz")


@dataclass
class Data:
    """One setting: rows to train and to test on; labels if classes."""

    name: str
    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    classes: bool = False

    def estimator(self, seed=0, **params):
        """An estimator with the penalty that the reference has."""
        if self.classes:
            return ZipMLLSSVC(C=1 / (ALPHA * len(self.y)), random_state=seed, **params)
        return ZipMLRegressor(alpha=ALPHA, random_state=seed, **params)

    def reference(self):
        """The closed form in float64."""
        model = RidgeClassifier if self.classes else Ridge
        return model(alpha=ALPHA * len(self.y)).fit(self.X.astype(np.float64), self.y)

    def full(self):
        """Test score of the closed form."""
        return self.reference().score(self.X_test, self.y_test)


def halves(name, X, y, classes=False, train=None):
    """Shuffled into training and test rows, three to one unless told."""
    order = np.random.default_rng(0).permutation(len(y))
    k = train or int(0.75 * len(y))
    return Data(name, X[order[:k]], y[order[:k]], X[order[k:]], y[order[k:]], classes)


def synthetic(d):
    """Gaussian features, a linear target, noise of a tenth; 10,000 rows to train on and as many to test on."""
    rng = np.random.default_rng(d)
    X = rng.standard_normal((20_000, d), dtype=np.float32)
    y = X @ rng.standard_normal(d) / np.sqrt(d) + 0.1 * rng.standard_normal(20_000)
    return halves(f"Synthetic {d}", X, y, train=10_000)


def read(folder, name, classes):
    """A data set of FILES out of a folder, or None if its files are not there."""
    found = _existing(folder, name)
    if found:
        X, y = load_svmlight_file(str(found))
        test = _existing(folder, name + ".t")
        if not test:
            return halves(name, X.toarray(), y, classes)
        X_test, y_test = load_svmlight_file(str(test), n_features=X.shape[1])
        return Data(name, X.toarray(), y, X_test.toarray(), y_test, classes)
    found = _existing(folder, name + ".csv")
    if found:
        table = np.genfromtxt(found, delimiter=",", skip_header=1)
        return halves(name, table[:, :-1], table[:, -1], classes)
    found = _existing(folder, name + ".txt")
    if found:
        table = np.loadtxt(found, delimiter=",")
        return halves(name, table[:, 1:], table[:, 0], classes)
    return None


def _existing(folder, name):
    return next((folder / (name + end) for end in COMPRESSED if (folder / (name + end)).is_file()), None)


def settings(folder=None, fetch=False):
    """Every data set there is, and the names of those that are not."""
    found = [synthetic(d) for d in (10, 100, 1000)]
    X, digit = load_digits(return_X_y=True)
    found.append(halves("digits", X, digit % 2, classes=True))
    missing = []
    for name, classes in FILES.items():
        data = read(folder, name, classes) if folder else None
        if data is None and name == "cadata" and fetch:
            data = halves("California housing", *fetch_california_housing(return_X_y=True))
        if data is None:
            missing.append(name)
        else:
            found.append(data)
    return found, missing


def check():
    """Write a small file of every format, read it back, and compare."""
    rng = np.random.default_rng(0)
    X = np.round(rng.normal(size=(40, 5)), 3)
    y = np.where(X[:, 0] > 0, 1.0, -1.0)
    with tempfile.TemporaryDirectory() as path:
        folder = pathlib.Path(path)
        dump_svmlight_file(X, y, str(folder / "gisette_scale"), zero_based=False)
        for name, rows in (("cod-rna", slice(0, 30)), ("cod-rna.t", slice(30, 40))):
            dump_svmlight_file(X[rows], y[rows], str(folder / name), zero_based=False)
        np.savetxt(folder / "cadata.csv.gz", np.column_stack([X, y]), delimiter=",", header="a,b,c,d,e,y")
        np.savetxt(folder / "YearPredictionMSD.txt", np.column_stack([y, X]), delimiter=",")
        for name, classes in FILES.items():
            data = read(folder, name, classes)
            if name == "cpusmall_scale":
                assert data is None
                continue
            split = name != "cod-rna"  # the others are shuffled and divided here
            expected = halves(name, X, y) if split else Data(name, X[:30], y[:30], X[30:], y[30:])
            for part in ("X", "y", "X_test", "y_test"):
                np.testing.assert_allclose(getattr(data, part), getattr(expected, part))
            assert data.classes == classes
        found, missing = settings(folder)
        assert missing == ["cpusmall_scale"] and len(found) == 4 + len(FILES) - 1
    print("files of every format are read as they were written")

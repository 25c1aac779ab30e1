"""Pickle one of each kind of object beside this file, with what they give: run once for every release, and commit.

`tests/test_pickles.py` loads the pickles of all releases. They hold nothing of scikit-learn's but parameters.
"""

import pickle
from pathlib import Path

import numpy as np

import sklearn_zipml
from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor

FOLDER = Path(__file__).parent
CHUNK = slice(0, 40)
REST = slice(40, None)


def data():
    """Rows, a target, and labels."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)) * [1, 10, 0.1] + [0, 5, 1]
    y = X @ [1.0, 0.2, -8.0] + rng.normal(size=60)
    return X, y, np.array(["a", "b", "c"])[np.digitize(y, [-8, -6])]


def objects(X, y, labels):
    """One of each kind, by name; those "between chunks" have seen a part of the rows."""
    model = {"alpha": 0.01, "random_state": 0}
    made = {
        "regressor": ZipMLRegressor(**model).fit(X, y),
        "regressor, two targets in float32": ZipMLRegressor(None, **model).fit(np.float32(X), np.c_[y, -y]),
        "regressor, stopped early": ZipMLRegressor(2, solver="sgd", early_stopping=True, **model).fit(X, y),
        "regressor between chunks": ZipMLRegressor(8, **model).partial_fit(X[CHUNK], y[CHUNK]),
        "classifier": ZipMLLSSVC(class_weight="balanced", random_state=0).fit(X, labels),
        "classifier between chunks": ZipMLLSSVC(8, random_state=0).partial_fit(
            X[CHUNK], labels[CHUNK], classes=np.unique(labels)
        ),
        "quantizer": DoubleSamplingQuantizer(3, sampling="double", random_state=0).fit(X),
        "quantizer between chunks": DoubleSamplingQuantizer(2, random_state=0).partial_fit(X[CHUNK]),
    }
    for bits, sampling in ((1, "compensated"), (4, "double"), (6, "naive"), (8, "nearest")):
        quantizer = DoubleSamplingQuantizer(bits, sampling=sampling, random_state=0)
        made[f"matrix of {bits} bits, {sampling}"] = quantizer.fit_transform(X)
    made["matrix with target"] = PackedMatrix.from_chunks(X, y, random_state=0)
    return made


def outputs(name, thing, X, y, labels):
    """What an object of that name gives, an array."""
    if isinstance(thing, PackedMatrix):
        return np.c_[thing] if thing.target is None else np.c_[thing, thing.target]
    target = (labels if isinstance(thing, ZipMLLSSVC) else y)[REST]
    if name.endswith("between chunks"):
        thing.partial_fit(X[REST], target)
    if isinstance(thing, DoubleSamplingQuantizer):
        return np.asarray(thing.quantize(X))
    return thing.decision_function(X) if isinstance(thing, ZipMLLSSVC) else thing.predict(X)


if __name__ == "__main__":
    rows = data()
    made = objects(*rows)
    path = FOLDER / f"pickles-{sklearn_zipml.__version__}"
    path.with_name(path.name + ".pickle").write_bytes(pickle.dumps(made, protocol=4))
    expected = {name: outputs(name, thing, *rows) for name, thing in made.items()}
    np.savez_compressed(path.with_name(path.name + ".npz"), *rows, **expected)

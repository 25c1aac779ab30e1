"""Pickles of earlier releases load and predict as they did; those of later formats are refused."""

import copy
import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import sklearn_zipml
from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor

FOLDER = Path(__file__).parents[1] / "data"
spec = importlib.util.spec_from_file_location("write_pickles", FOLDER / "write_pickles.py")
write_pickles = importlib.util.module_from_spec(spec)
spec.loader.exec_module(write_pickles)

RELEASES = sorted(FOLDER.glob("pickles-*.pickle"))


def stored(path):
    """Rows, objects and what they gave."""
    with np.load(path.with_suffix(".npz")) as file:
        rows = [file[f"arr_{k}"] for k in range(3)]
        expected = {name: file[name] for name in file.files if not name.startswith("arr_")}
    return rows, pickle.loads(path.read_bytes()), expected


def test_there_are_pickles():
    """And they are small enough to keep one set for each release."""
    assert RELEASES
    assert all(path.stat().st_size < 50_000 for path in FOLDER.iterdir() if path.is_file())


@pytest.mark.parametrize("path", RELEASES, ids=lambda path: path.stem)
def test_pickles_of_a_release(path):
    """They load without a warning, predict what they did, and go on with partial_fit where they were."""
    rows, objects, expected = stored(path)
    assert objects.keys() == expected.keys()
    for name, thing in objects.items():
        assert_allclose(write_pickles.outputs(name, thing, *rows), expected[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("path", RELEASES, ids=lambda path: path.stem)
def test_pickled_objects_are_whole(path):
    """They have every parameter of today, print, clone the same and can be fitted again."""
    rows, objects, _ = stored(path)
    for name, thing in objects.items():
        if isinstance(thing, PackedMatrix):
            assert_array_equal(np.asarray(thing[5:9]), np.asarray(thing)[5:9])
            assert thing.sample_bits < 8 or thing.requantize(4, random_state=0).sample_bits == 4
            assert ZipMLRegressor(thing.sample_bits, random_state=0).fit(thing, rows[1]).n_features_in_ == 3
            continue
        assert repr(thing) and thing.get_params(), name
        again = type(thing)(**thing.get_params()).fit(rows[0], rows[2 if isinstance(thing, ZipMLLSSVC) else 1])
        assert again.n_features_in_ == thing.n_features_in_


def test_a_parameter_that_came_later_gets_its_default():
    """As if the state had been written before there was one."""
    X, y, _ = write_pickles.data()
    for model in (ZipMLRegressor(8, random_state=0), DoubleSamplingQuantizer(8, random_state=0)):
        state = model.fit(X, y).__getstate__()
        del state["n_jobs"], state["_sklearn_zipml"]
        old = type(model).__new__(type(model))
        old.__setstate__(state)
        assert old.get_params() == model.get_params()
        assert_array_equal(old.fit(X, y).n_features_in_, 3)


def test_states_are_marked():
    """With format and version; the mark is no attribute."""
    model = ZipMLRegressor(random_state=0)
    assert model.__getstate__()["_sklearn_zipml"] == (1, sklearn_zipml.__version__)
    assert vars(pickle.loads(pickle.dumps(model))) == vars(copy.deepcopy(model)) == vars(model)


@pytest.mark.parametrize("thing", [ZipMLRegressor(), ZipMLLSSVC(), DoubleSamplingQuantizer()])
def test_a_later_format_is_refused(thing):
    """With the version that wrote it."""
    state = thing.__getstate__() | {"_sklearn_zipml": (2, "9.1")}
    with pytest.raises(ValueError, match=rf"{type(thing).__name__} was pickled in format 2 by sklearn_zipml 9\.1"):
        thing.__setstate__(state)


@pytest.mark.parametrize("thing", [ZipMLRegressor(), ZipMLLSSVC(), DoubleSamplingQuantizer()])
def test_pickles_name_the_public_place(thing):
    """So the files of the package may be renamed."""
    assert type(thing).__module__ == "sklearn_zipml"
    assert b"sklearn_zipml._" not in pickle.dumps(thing)


def test_the_state_of_a_matrix_is_set_once():
    """It is immutable."""
    packed = DoubleSamplingQuantizer(random_state=0).fit_transform(write_pickles.data()[0])
    with pytest.raises(AttributeError, match="immutable"):
        packed.__setstate__(packed.__getstate__())

"""Rows of 2 bits with known dither as they were packed up to format 9: codes were levels, dithers offsets from them.

``tests/data/ladders-7`` holds a file and a pickle of the last commit that made such, and what they stood for.
"""

import pickle
from pathlib import Path

import numpy as np
import pytest
from packing import assert_same_parts

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor
from sklearn_zipml._storage import dither
from sklearn_zipml._storage.file_writer import HEADER
from sklearn_zipml._storage.packed_rows import rows_of

PATH = Path(__file__).parents[1] / "data" / "ladders-7.zq"


def version_of(path):
    return HEADER.unpack(path.read_bytes()[: HEADER.size])[1]


def new_rows(n):
    """Others as those were."""
    rng = np.random.default_rng(7)
    X = rng.standard_normal((n, 6)).astype(np.float32)
    X[:, 1], X[:, 2], X[:, 3] = rng.lognormal(size=n), rng.random(n) < 0.2, -(rng.lognormal(size=n) ** 2)
    return X


@pytest.fixture(params=["file", "mapped file", "pickle"])
def matrix(request):
    """The rows, as one of the ways they are kept in gives them."""
    if request.param == "pickle":
        return pickle.loads(PATH.with_suffix(".pickle").read_bytes())
    return PackedMatrix.load(PATH, mmap=request.param != "file", verify=True)


@pytest.fixture
def stored():
    with np.load(PATH.with_suffix(".npz")) as file:
        return dict(file)


def test_they_stand_for_the_same(matrix, stored):
    """Values, their errors, selections and joins."""
    values = stored["values"]
    assert version_of(PATH) == 7 and matrix.sampling == "dithered"
    assert dither.have_dither(rows_of(matrix).table[:6]).sum() >= 4
    np.testing.assert_array_equal(np.asarray(matrix), values)
    np.testing.assert_array_equal(matrix.rounding_variance, stored["variance"])
    np.testing.assert_array_equal(np.asarray(matrix[::3, [4, 1]]), values[::3][:, [4, 1]])
    other = DoubleSamplingQuantizer(2, sampling="dithered", random_state=1).fit_transform(new_rows(400))
    np.testing.assert_array_equal(np.asarray(np.hstack([matrix, other])), np.hstack([values, np.asarray(other)]))


def test_they_are_trained_on(matrix):
    """To the closed form of what they stand for."""
    some, y = matrix[:, [0, 1, 3, 4, 5]], matrix.target
    values, model = np.asarray(some, dtype=np.float64), ZipMLRegressor(2, solver="saga", tol=1e-8, max_iter=500)
    centred = values - values.mean(axis=0)
    moments = centred.T @ centred / 400 - (1 - 4 * 5 / 400) * np.diag(some.rounding_variance)
    expected = np.linalg.solve(moments + 1e-4 * np.eye(5), centred.T @ (y - y.mean()) / 400)
    np.testing.assert_allclose(model.fit(some, y).coef_, expected, rtol=0.05, atol=0.05)


def test_they_are_saved_and_appended_to(matrix, stored, tmp_path):
    """In the format of today, with ladders for their positions."""
    path = tmp_path / "some.zq"
    matrix.save(path)
    assert version_of(path) == 10
    assert_same_parts(PackedMatrix.load(path, verify=True), matrix)
    more = new_rows(77)
    PackedMatrix.append(path, more, np.arange(77.0), random_state=1)
    longer = np.asarray(PackedMatrix.load(path))
    np.testing.assert_array_equal(longer[:400], stored["values"])
    error = longer[400:] - more
    assert (np.abs(error.sum(axis=0)) < 6 * np.sqrt(77 * matrix.rounding_variance) + 1e-6).all()


@pytest.mark.parametrize("change", ["offset", "level"])
def test_damaged_ladders(stored, change):
    """What was refused of them still is."""
    parts = rows_of(PackedMatrix.load(PATH)).parts()
    table = np.array(parts["table"])
    levels, offsets = table[:, :16:4], table[:, :4] - table[:, :1]
    ladder = np.concatenate([levels, offsets, table[:, 16:]], axis=1)
    np.testing.assert_array_equal(np.asarray(PackedMatrix(**parts | {"table": ladder})), stored["values"])
    ladder[0, 5 if change == "offset" else 1] += 1
    with pytest.raises(ValueError, match="its table is none of codes with known dither"):
        PackedMatrix(**parts | {"table": ladder})

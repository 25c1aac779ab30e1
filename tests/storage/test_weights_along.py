"""Weights in the container: they go where its rows go, or an error says why not."""

import pickle

import joblib
import numpy as np
import pytest
from packed_files import data

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix
from sklearn_zipml._storage.file_writer import HEADER
from sklearn_zipml._storage.packed_rows import rows_of

WEIGHTS = np.random.default_rng(1).integers(0, 5, 130) / 4


@pytest.fixture
def matrix():
    """Rows with target and weights."""
    X, _ = data(130)
    return PackedMatrix.from_chunks(X, X[:, 0], sample_weight=WEIGHTS, sample_bits=8, random_state=0)


def version_of(path):
    """That of a file's format."""
    return HEADER.unpack(path.read_bytes()[: HEADER.size])[1]


def test_rows_columns_and_bits(matrix):
    """Slices, lists, masks, columns, fewer bits."""
    rows = np.random.default_rng(0).integers(0, 130, 50)
    np.testing.assert_array_equal(matrix[rows].sample_weight, WEIGHTS[rows])
    np.testing.assert_array_equal(matrix[10:90:3][5:].sample_weight, WEIGHTS[10:90:3][5:])
    np.testing.assert_array_equal(matrix[WEIGHTS > 0.5, :2].sample_weight, WEIGHTS[WEIGHTS > 0.5])
    np.testing.assert_array_equal(matrix.requantize(2, random_state=0)[::-1].sample_weight, WEIGHTS[::-1])
    fewer = DoubleSamplingQuantizer(2, random_state=0).fit_transform(matrix)
    np.testing.assert_array_equal(fewer.sample_weight, WEIGHTS)


def test_given_and_taken_away(matrix):
    """A copy of what is given, which nobody can change; memory counts."""
    given = WEIGHTS.copy()
    other = matrix.with_sample_weight(given)
    given[:] = 0
    np.testing.assert_array_equal(other.sample_weight, WEIGHTS)
    with pytest.raises(ValueError, match="read-only"):
        other.sample_weight[0] = 1
    assert other.with_sample_weight(None).sample_weight is None
    assert other.nbytes - other.with_sample_weight(None).nbytes == 8 * 130
    for wrong in (WEIGHTS[1:], WEIGHTS - 1, WEIGHTS * 1j):
        with pytest.raises(ValueError, match="sample_weight"):
            matrix.with_sample_weight(wrong)


def test_joins(matrix):
    """Side by side they agree, or one has them; below one another all have them."""
    without = matrix.with_sample_weight(None)
    np.testing.assert_array_equal(np.hstack([without, matrix]).sample_weight, WEIGHTS)
    np.testing.assert_array_equal(np.hstack([matrix, matrix]).sample_weight, WEIGHTS)
    with pytest.raises(ValueError, match="different weights along: drop one, with with_sample_weight"):
        np.hstack([matrix, matrix.with_sample_weight(WEIGHTS + 1)])
    np.testing.assert_array_equal(np.vstack([matrix[:30], matrix[30:]]).sample_weight, WEIGHTS)
    with pytest.raises(ValueError, match="Matrix 1 brings no weights along"):
        np.vstack([matrix, without])


@pytest.mark.parametrize("mmap", [True, False])
def test_files(tmp_path, matrix, mmap):
    """Format 6, which those without weights do not need; mapped ones go to other processes."""
    path = tmp_path / "rows.zq"
    matrix.with_sample_weight(None).save(path)
    assert version_of(path) < 6
    matrix.save(path)
    assert version_of(path) == 6
    loaded = PackedMatrix.load(path, mmap=mmap, verify=True)
    np.testing.assert_array_equal(loaded.sample_weight, WEIGHTS)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(loaded)).sample_weight, WEIGHTS)
    back = joblib.Parallel(n_jobs=2, mmap_mode="r")(joblib.delayed(np.asarray)(loaded.sample_weight) for _ in range(2))
    np.testing.assert_array_equal(back[0], WEIGHTS)


def test_damaged_weights(tmp_path, matrix):
    """Their checksum is checked on request, as that of the target is."""
    path = tmp_path / "rows.zq"
    matrix.save(path)
    image = bytearray(path.read_bytes())
    place = image.index(WEIGHTS.tobytes())
    image[place + 3] ^= 1
    path.write_bytes(image)
    with pytest.raises(ValueError, match="checksum of its section 'sample_weight' is wrong"):
        PackedMatrix.load(path, verify=True)


def test_cut_file(tmp_path, matrix):
    """Weights of a mapped file that was cut are an error."""
    path = tmp_path / "rows.zq"
    matrix.save(path)
    loaded = PackedMatrix.load(path)
    with path.open("r+b") as file:
        file.truncate(100)
    with pytest.raises(ValueError, match="cut"):
        loaded.sample_weight  # noqa: B018


def test_append(tmp_path, matrix):
    """New rows have weights if the old ones have some, and none if they have none."""
    path, (X, _) = tmp_path / "rows.zq", data(130)
    matrix[:100].save(path)
    longer = PackedMatrix.append(path, X[100:], X[100:, 0], sample_weight=WEIGHTS[100:], random_state=1)
    np.testing.assert_array_equal(longer.sample_weight, WEIGHTS)
    del longer
    before = path.read_bytes()
    with pytest.raises(ValueError, match="both have weights or none, but the new rows have none"):
        PackedMatrix.append(path, X, X[:, 0], random_state=1)
    assert path.read_bytes() == before
    matrix.with_sample_weight(None).save(path)
    with pytest.raises(ValueError, match="both have weights or none, but the file has none"):
        PackedMatrix.append(path, X, X[:, 0], sample_weight=WEIGHTS, random_state=1)


@pytest.mark.parametrize("wrong", [np.ones(129), np.ones(130, np.float32), [1.0] * 130, np.ones((130, 1))])
def test_hostile_parts(matrix, wrong):
    """The gate knows how many there are, and of what type."""
    with pytest.raises(ValueError, match="sample_weight"):
        PackedMatrix(**rows_of(matrix).parts() | {"sample_weight": wrong})

"""Keys of a PackedMatrix select what they select of the decoded array."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix
from sklearn_zipml._storage import indexing

N, D = 70, 6


def make(kind=np.float64):
    """A matrix of a tile and a bit, and the decoded array."""
    X = np.random.default_rng(0).normal(size=(N, D)).astype(kind)
    packed = DoubleSamplingQuantizer(4, random_state=0).fit_transform(X)
    return packed, np.asarray(packed)


PACKED, DECODED = make()


def places(n):
    """Keys of an axis, some of them wrong."""
    numbers = st.integers(-n - 1, n)
    inside = st.integers(-n, n - 1)
    return st.one_of(
        inside,
        numbers,
        st.builds(np.int16, inside),
        st.slices(n),
        st.lists(inside, max_size=4),
        st.lists(inside, min_size=2, max_size=2).map(lambda own: np.array(own, dtype=np.int8)),
        st.lists(inside, min_size=4, max_size=4).map(lambda own: np.reshape(own, (2, 2))),
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.lists(st.booleans(), min_size=n, max_size=n).map(np.array),
        st.lists(st.booleans(), min_size=n - 1, max_size=n - 1).map(np.array),
        st.just(np.array(1)),
        st.just(Ellipsis),
        st.just([0.5]),
    )


KEYS = st.one_of(
    places(N),
    st.tuples(),
    st.tuples(places(N)),
    st.tuples(places(N), places(D)),
    st.tuples(st.just(Ellipsis), places(N), places(D)),
    st.tuples(places(N), places(D), st.just(Ellipsis)),
    st.tuples(places(N), places(D), places(D)),
    st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).uniform(size=(N, D)) < 0.1),
    st.lists(st.integers(0, N - 1), max_size=5).map(lambda rows: np.ix_(rows, [3, 1])),
)


def key_of_rows(key):
    """The part of a key that selects rows; an ellipsis stands for them, or for nothing."""
    if not isinstance(key, tuple):
        return key
    parts = [part for part in key if part is not Ellipsis]
    return parts[0] if len(parts) == 2 else key[0]


@settings(max_examples=400, deadline=None)
@given(KEYS)
def test_any_key(key):
    """The same values, dtype and shape, or an IndexError where NumPy raises one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            expected = DECODED[key]
    except IndexError:
        with pytest.raises(IndexError):
            PACKED[key]
        return
    if expected.ndim > 2 and np.shape(key_of_rows(key))[:-1]:
        with pytest.raises(IndexError, match="one dimension of integers"):  # many rows that would be decoded
            PACKED[key]
        return
    picked = PACKED[key]
    np.testing.assert_array_equal(np.asarray(picked), expected, strict=True)
    assert np.ndim(picked) == expected.ndim


def test_rows_stay_packed():
    """As long as no column is picked."""
    for key in (slice(3, 9), [4, 2], np.arange(N) % 2 == 0, (Ellipsis, slice(None)), ([1, 2], Ellipsis), ()):
        assert isinstance(PACKED[key], PackedMatrix)
    assert PACKED[:] is PACKED


def test_values_in_pieces(monkeypatch):
    """Many pairs are decoded a piece at a time."""
    monkeypatch.setattr(indexing, "PAIRS", 10 * D)
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, N, (40, 3)), rng.integers(0, D, 3)
    np.testing.assert_array_equal(PACKED[rows, columns], DECODED[rows, columns])
    block = np.ix_([5, 1, 69], [2, 0])
    np.testing.assert_array_equal(PACKED[block], DECODED[block])


def test_one_value():
    """A number of the decoded dtype."""
    packed, decoded = make(np.float32)
    assert packed[3, 2] == decoded[3, 2] and packed[3, 2].dtype == np.float32
    assert packed[-1, np.int8(-1)] == decoded[-1, -1]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (None, "newaxis"),
        ((0, None), "newaxis"),
        (True, "one boolean"),
        ((slice(None), np.True_), "one boolean"),
        ((0, 1, 2), "3 were given"),
        ((..., ...), "single ellipsis"),
        ("a", "got 'a'"),
        (N, f"index {N} is out of bounds for axis 0 with size {N}"),
        ((0, [0, -D - 1]), f"index {-D - 1} is out of bounds for axis 1 with size {D}"),
        (np.array([2**63], dtype=np.uint64), "out of bounds"),
        (([1, 2], [0, 1, 2]), "numpy.ix_ selects a block"),
        (np.ones(N - 1, dtype=bool), f"size of axis is {N}.*boolean axis is {N - 1}"),
        (np.ones((N, D - 1), dtype=bool), f"axis 1; size of axis is {D}"),
        ([[0, 1], [2, 3]], "one dimension of integers, got 2"),
    ],
    ids=repr,
)
def test_messages(key, message):
    """They tell what is wrong, as NumPy's do, or what to do."""
    with pytest.raises(IndexError, match=message):
        PACKED[key]

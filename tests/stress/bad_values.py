"""Values that no parameter, or hardly any, can take: (name, make), where make turns a good value into a bad one.

SCALARS for single parameters, ARRAYS for data. A few are good after all where a parameter takes many things; what then
must hold is that results are finite. OF_NONE are refused by every parameter.
"""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
from scipy import sparse


class Number(int):
    """A subclass of int."""


class Text(str):
    """A subclass of str."""


class Rows(np.ndarray):
    """A subclass of arrays."""


class Frame(pd.DataFrame):
    """A subclass of frames."""


class HostileArray:
    """What says that it is an array, and is none."""

    def __array__(self, dtype=None, copy=None):
        raise ValueError("the data cannot be read")


class Opaque:
    """Of no known kind; its address is not in its name, so that cases are the same in every run."""

    def __repr__(self):
        return "Opaque()"


def constant(value):
    return lambda good: value


_VALUES = [
    None, True, False, "", "abc", "4", "\0", "½", Text("auto"), b"4", 0, -1, 1, 2, 3, 9, 17, Number(4), 2**31, 2**63,
    10**30, -(10**30), 0.5, 4.0, -0.5, 1.5, 1e308, 1e-308, -1e-300, float("nan"), float("inf"), -float("inf"), 1j,
    int, len, [], [4], [None], ["a"], [[1.0]], (4,), {}, {"a": 1}, {0: -1.0}, {0: float("nan")}, {1, 2}, range(3),
    slice(2), Ellipsis, NotImplemented, np.float32("nan"), np.float64("inf"), np.int64(-1), np.uint8(255),
    np.bool_(True), np.datetime64("NaT", "s"), np.timedelta64(1, "s"), Fraction(1, 3), Decimal("NaN"), Decimal(4),
    np.ma.masked, pd.NA, pd.NaT,
]  # fmt: skip
OF_NONE = {"Opaque()", "1j", "zero-dimensional complex", "sparse matrix"}


SCALARS = [(repr(value), constant(value)) for value in _VALUES] + [
    ("Opaque()", constant(Opaque())),
    ("zero-dimensional array", lambda good: np.array(4)),
    ("zero-dimensional complex", lambda good: np.array(4 + 1j)),
    ("array of one", lambda good: np.array([4])),
    ("empty array", lambda good: np.array([])),
    ("array of NaN", lambda good: np.full(3, np.nan)),
    ("sparse matrix", lambda good: sparse.csr_array(np.eye(2))),
    ("empty iterator", lambda good: iter(())),
    ("generator", lambda good: (value for value in (1, 2))),
    ("data frame", lambda good: pd.DataFrame({"a": [1.0]})),
]


def with_value(value, dtype=np.float64):
    """The good array with its last row, or entry, replaced."""

    def make(good):
        out = np.array(good, dtype=dtype)
        out[-1:] = value
        return out

    return make


def frame(good, **columns):
    """A frame of the good rows, some columns replaced."""
    good = np.atleast_2d(good.T).T
    out = pd.DataFrame(good, columns=[f"f{column}" for column in range(good.shape[1])])
    for name, value in columns.items():
        out[name] = value
    return out


def duplicate_names(good):
    out = frame(good)
    out.columns = ["f0"] * out.shape[1]
    return out


def frozen(good):
    out = np.array(good)
    out.flags.writeable = False
    return out


def masked(good):
    out = np.ma.masked_array(good, mask=np.zeros(good.shape, bool))
    out[-1:] = np.ma.masked
    return out


def wide(good):
    """Two dimensions, of numbers that sparse matrices can hold."""
    return np.atleast_2d(good).astype(np.float32 if good.dtype == np.float16 else good.dtype, copy=False)


def times(unit):
    return lambda good: np.asarray(np.abs(np.nan_to_num(good.astype(float)))).astype(np.int64).astype(unit)


ARRAYS = [
    *[(repr(v), constant(v)) for v in (None, 0, 1.5, "", "abc", b"ab", {}, {"a": [1]}, {1, 2}, [], [[]], int)],
    ("Opaque()", constant(Opaque())),
    ("HostileArray()", constant(HostileArray())),
    ("zero-dimensional", lambda good: np.array(1.0)),
    ("one dimension less", lambda good: good[0]),
    ("one dimension more", lambda good: good[:, None]),
    ("one dimension more, two wide", lambda good: np.stack([good, good], axis=-1)),
    ("no rows", lambda good: good[:0]),
    ("no columns", lambda good: np.atleast_2d(good.T).T[:, :0]),
    ("one row", lambda good: good[:1]),
    ("a row less", lambda good: good[:-1]),
    ("twice the rows", lambda good: np.concatenate([good, good])),
    ("a column less", lambda good: np.atleast_2d(good.T).T[:, :-1]),
    ("a column more", lambda good: np.column_stack([good, good])),
    *[(f"{value} amid", with_value(value)) for value in (np.nan, np.inf, -np.inf, 1e300, -1e39, 1e-320)],
    *[(f"all {v}", lambda good, v=v: np.full(good.shape, v)) for v in (np.nan, np.inf, 0.0, -1, 1e300)],
    *[(f"object with {value!r}", with_value(value, object)) for value in (None, "a", {}, 1j, 10**400, pd.NA, pd.NaT)],
    ("text", lambda good: np.full(good.shape, "abc")),
    ("numbers as text", lambda good: good.astype(str)),
    ("bytes", lambda good: np.full(good.shape, b"abc")),
    ("complex", lambda good: np.nan_to_num(good.astype(float)) + 1j),
    ("times", times("M8[s]")),
    ("durations", times("m8[s]")),
    ("NaT", lambda good: np.full(good.shape, np.datetime64("NaT", "s"), "M8[s]")),
    ("structured", lambda good: np.zeros(len(good), [("a", "f8"), ("b", "i4")])),
    ("boolean", lambda good: np.array(good) > 0),
    ("half precision", lambda good: good.astype(np.float16)),
    ("long double", lambda good: good.astype(np.longdouble)),
    ("other byte order", lambda good: good.astype(">f8")),
    ("read-only", frozen),
    ("reversed", lambda good: good[::-1]),
    ("Fortran order", lambda good: np.asfortranarray(good)),
    ("masked", masked),
    ("array of a subclass", lambda good: np.array(good).view(Rows)),
    ("frame of a subclass", lambda good: Frame(np.atleast_2d(good.T).T)),
    ("sparse rows", lambda good: sparse.csr_array(wide(good))),
    ("sparse entries", lambda good: sparse.coo_matrix(wide(good))),
    ("frame", frame),
    ("frame of duplicate names", duplicate_names),
    ("frame with text", lambda good: frame(good, f0="a")),
    ("frame with NaT", lambda good: frame(good, f0=pd.NaT)),
    ("frame with times", lambda good: frame(good, f0=pd.Timestamp(2020, 1, 1))),
    ("frame with categories", lambda good: frame(good, f0=pd.Categorical(["a"] * len(good)))),
    ("frame with missing integers", lambda good: frame(good, f0=pd.array([None] * len(good), dtype="Int64"))),
    ("frame without rows", lambda good: frame(good).iloc[:0]),
    ("ragged list", lambda good: [[1.0], [1.0, 2.0]]),
    ("list with None", lambda good: [None, *good.tolist()[1:]]),
    ("list of lists with None", lambda good: [[None] * 3] * len(good)),
    ("list of text", lambda good: ["a"] * len(good)),
    ("list", lambda good: good.tolist()),
    ("generator", lambda good: (row for row in good)),
]

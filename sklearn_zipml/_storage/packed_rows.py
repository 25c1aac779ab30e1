"""Rows whose values are codes: what builders make, solvers read, files hold, and a PackedMatrix shows."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .._kernels.mapped import require_whole
from .._kernels.outliers import bases
from .._scheme import Scheme
from . import dither
from .constant import frozen
from .mapped_file import MappedFile, nameless
from .outliers import of_parts, parts_of
from .row_order import RowOrder
from .samples import Samples
from .statistics import subset_statistics
from .targets import BY_ROW
from .valid_parts import SCHEME_PARTS

# The arrays by their names in files and pickles.
ARRAYS = (
    "codes",
    "table",
    "grid_levels",
    "used",
    "offset",
    "step",
    "mean",
    "deviation",
    "variance",
    "noise",
    "coincidence",
)
# Counted when asked for, of rows that were taken: a fold is requantized, or predicted on, more often than trained on.
STATISTICS = ("mean", "deviation", "variance")


@dataclass(frozen=True, eq=False, repr=False)
class PackedRows:
    """Packed rows; their arrays are read-only. Everything by column is in steps of its grid, where it has a unit.

    Attributes
    ----------
    shape : tuple (rows, columns)
    dtype : dtype that they are decoded to, float32 or float64
    scheme : Scheme
    order : RowOrder, which row stands in which slot
    samples : Samples, the codes
    table : uint8 (padded columns, codes), grid position of every code; no codes of a byte; or see `dither`
    grid_levels : uint8 (columns, levels), where neither table nor bits tell the levels; else no levels
    used : uint16 (columns,), number of levels in use
    offset, step : float64 (columns,); grid position g stands for offset + step * g, in units of X
    noise : float16 (columns, codes), E[error² | code], or no codes
    collision_probability : float64 (1,), that two random rows share their rounding errors, see `duplicates`
    known : dict of those of STATISTICS that are known
    target : array of a row for each row, or None
    sample_weight : float64 (rows,), or None
    feature_names : tuple of str, or None
    missing_count : int64 (columns,), values that were missing, or None where that is not known
    file : MappedFile that codes, target and weights lie in, or None
    """

    shape: tuple
    dtype: np.dtype
    scheme: Scheme
    order: RowOrder
    samples: Samples
    table: np.ndarray
    grid_levels: np.ndarray
    used: np.ndarray
    offset: np.ndarray
    step: np.ndarray
    noise: np.ndarray
    collision_probability: np.ndarray
    known: dict
    target: np.ndarray | None = None
    sample_weight: np.ndarray | None = None
    feature_names: tuple | None = None
    missing_count: np.ndarray | None = None
    file: MappedFile | None = None

    @classmethod
    def of_parts(cls, parts, file=None):
        """Rows of the parts that a file or a pickle has, see `parts`; `codes` may be a Selection."""
        table, shape = frozen(parts["table"]), tuple(int(n) for n in parts["shape"])
        scheme = Scheme(*(parts[name] for name in SCHEME_PARTS))
        names, row_list = (parts.get(name) for name in ("feature_names", "row_list"))
        return cls(
            shape=shape,
            dtype=np.dtype(parts["dtype"]),
            scheme=scheme,
            order=RowOrder(shape[0], parts["row_seed"], None if row_list is None else frozen(row_list)),
            samples=Samples(parts["codes"], table, shape, scheme.format, of_parts(parts, shape[1])),
            table=table,
            **{name: frozen(parts[name]) for name in ("grid_levels", "used", "offset", "step", "noise")},
            collision_probability=frozen(parts["coincidence"]),
            known={name: frozen(parts[name]) for name in STATISTICS if name in parts},
            **{name: None if parts.get(name) is None else frozen(parts[name]).view() for name in BY_ROW},
            feature_names=None if names is None else tuple(str(name) for name in names),
            missing_count=None if parts.get("missing_count") is None else frozen(parts["missing_count"]),
            file=file,
        )

    @classmethod
    def of_grid(cls, grid, codes, statistics, shape, dtype, row_seed, **along):
        """Rows of codes on a grid; statistics, and what is along (row_list, target, ...), are parts already."""
        scheme = {name: getattr(grid.scheme, name) for name in SCHEME_PARTS}
        columns = {"used": grid.codes_used, "offset": grid.decoded_offset, "step": grid.step}
        columns |= {"table": grid.decode_table, "grid_levels": grid.stored_levels}
        rows = {"shape": shape, "dtype": dtype, "row_seed": row_seed, "codes": codes}
        return cls.of_parts(scheme | columns | rows | statistics | along)

    def parts(self):
        """Numbers, strings and arrays by the names that files and pickles give them."""
        require_whole(self.codes)
        named = {"variance": self.rounding_variance, "coincidence": self.collision_probability}
        arrays = {name: named[name] if name in named else getattr(self, name) for name in ARRAYS}
        order = {"row_seed": self.order.parts, "row_list": self.order.listed}
        scheme = {name: getattr(self.scheme, name) for name in SCHEME_PARTS}
        along = {name: getattr(self, name) for name in (*BY_ROW, "feature_names", "missing_count")}
        along |= parts_of(self.tiles.outliers)
        return arrays | {"shape": self.shape, "dtype": self.dtype} | scheme | order | along

    def whole(self, name):
        """What is along by row, by its name in BY_ROW, if what it lies in has not been cut; or None."""
        array = getattr(self, name)
        if array is not None:
            require_whole(array)
        return array

    def named(self, names):
        """The same with names of columns, a sequence of str or None."""
        return replace(self, feature_names=None if names is None else tuple(str(name) for name in names))

    def without_file(self):
        """The same memory, in which nobody finds a file."""
        samples = Samples(nameless(self.codes), self.table, self.shape, self.scheme.format, self.tiles.outliers)
        along = {name: nameless(getattr(self, name)) for name in BY_ROW if getattr(self, name) is not None}
        return replace(self, samples=samples, **along, file=None)

    def __len__(self):
        return self.shape[0]

    @property
    def codes(self):
        """The codes, uint8 (tiles, bytes of a tile)."""
        return self.samples.codes

    @property
    def tiles(self):
        """The same for the passes, Tiles."""
        return self.samples.tiles

    @property
    def sample_bits(self):
        """Bits asked for."""
        return self.scheme.sample_bits

    @property
    def low(self):
        """Lowest grid position of the values of each column, outliers among them."""
        return self._reach[0]

    @property
    def high(self):
        """The highest."""
        return self._reach[1]

    @cached_property
    def _reach(self):
        low, high = np.zeros(self.shape[1], dtype=np.int64), self.top.astype(np.int64)
        outliers = self.samples.outliers
        if outliers is not None:
            _, columns, differences = outliers.decoded()
            values = self.outlier_bases + differences
            np.minimum.at(low, columns, values)
            np.maximum.at(high, columns, values)
        return low, high

    @property
    def outlier_bases(self):
        """Grid positions that the codes of outliers stand for, int64."""
        if self.scheme.is_dithered:
            return bases(self.tiles).astype(np.int64)
        return self.samples.outliers.edges(self.top)

    @property
    def top(self):
        """Highest grid position of the levels of each column; the lowest is 0."""
        if self.scheme.is_dithered:
            return dither.positions_of(self.table[: self.shape[1]]).max(axis=1, initial=0)
        if self.scheme.width < 8:
            return self.table[: self.shape[1]].max(axis=1, initial=0)
        if self.scheme.stores_levels:
            return self.grid_levels[:, -1]
        return ((self.used - 1) * self.scheme.stride).astype(np.uint8)

    @cached_property
    def _counted(self):
        return {name: frozen(array) for name, array in subset_statistics(self).items()}

    def _statistic(self, name):
        return self.known[name] if name in self.known else self._counted[name]

    @property
    def mean(self):
        """Mean grid position of each column, float32."""
        return self._statistic("mean")

    @property
    def deviation(self):
        """Standard deviation of each column, float32."""
        return self._statistic("deviation")

    @property
    def rounding_variance(self):
        """Mean squared rounding error of each column, float32; zero where none is compensated."""
        return self._statistic("variance")

    @property
    def nbytes(self):
        """Memory of everything, in bytes."""
        arrays = [part for part in self.parts().values() if isinstance(part, np.ndarray)]
        return sum(array.nbytes for array in arrays)


def decoded_dtype(dtype):
    """What rows of a dtype are decoded to."""
    return np.float32 if dtype.type is np.float32 else np.float64


def rows_of(matrix):
    """The PackedRows that a PackedMatrix shows."""
    return matrix.__zipml_rows__()

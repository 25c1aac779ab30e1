"""Training rows of a search at one width, with sums over any of them."""

import numpy as np

from .._packed_matrix import PackedMatrix, matrix_of
from .._solvers.compensation import independent_rows, noise_ratio, noisy_columns
from .._solvers.exact_sums import rounded
from .._solvers.float_sums import FloatSums, float_grid
from .._solvers.gram import MOST_RATIO
from .._solvers.packed_sums import WEIGHT_BITS, PackedSums, noise_by_code
from .._solvers.problem import Problem
from .._storage.packed_rows import rows_of

TARGET_BITS = 30
# Numbers of all second moments of folds that are kept, 1 GB.
MOST_KEPT = 1 << 27


class Rows:
    """Targets and weights of the rows of a search, as sums take them: of few digits.

    Parameters
    ----------
    targets : float64 (rows, outputs)
    weights : float64 (rows,), all positive, or None
    centred : bool, whether an intercept is fitted

    Attributes
    ----------
    targets : float64 (rows, outputs), less their mean, in parts of their scale
    mean, scale : float64 (outputs,)
    share : float64 (outputs,), scale in parts of the largest
    weights : float64 (rows,), in parts of `unit`, or None
    """

    def __init__(self, targets, weights, centred):
        self.unit = 1.0
        if weights is not None:
            self.unit = 2.0 ** int(np.frexp(weights.max())[1])
            weights = weights / self.unit
            is_fine = weights.max() <= MOST_RATIO * weights.min()
            weights = rounded(weights, WEIGHT_BITS if is_fine else 2 * WEIGHT_BITS)
            weights = np.maximum(weights, 2.0 ** (-2 * WEIGHT_BITS))
        self.weights = weights
        size = np.abs(targets).max(axis=0)
        size[size == 0] = 1
        mean = np.average(targets / size, axis=0, weights=weights) if centred else np.zeros(targets.shape[1])
        targets = targets / size - mean
        spread = np.abs(targets).max(axis=0)
        spread[spread <= 1e-15] = np.inf  # what rounding leaves of constants
        self.targets = rounded(targets / (spread * (1 + 2.0**-20)), TARGET_BITS)
        self.mean, self.scale = mean * size, np.where(np.isfinite(spread), spread * (1 + 2.0**-20), 1) * size
        self.share = self.scale / self.scale.max()

    def __len__(self):
        return len(self.targets)

    def of(self, rows):
        """Targets and weights of some."""
        if rows is None:
            return self.targets, self.weights
        return self.targets[rows], None if self.weights is None else self.weights[rows]


class PackedStore:
    """Packed rows.

    Parameters
    ----------
    matrix : PackedMatrix
    rows : Rows
    threads : int
    """

    def __init__(self, matrix, rows, threads):
        packed = rows_of(matrix)
        self.matrix, self._rows, self._threads = matrix, rows, threads
        self.grid, self.noise_by_code = (packed.offset, packed.step), noise_by_code(packed)
        problem = Problem(packed, None, True, threads)
        noisy = noisy_columns(problem.variance * problem.unit**2)
        self._collision, self._dimensions = float(packed.collision_probability[0]), 0.0
        if noisy.any():
            self._dimensions = noise_ratio(problem, noisy) * independent_rows(problem, problem.tiles.n_tiles)

    @property
    def sample_bits(self):
        """Of the rows."""
        return self.matrix.sample_bits

    def take(self, rows):
        """Some rows, as estimators take them."""
        return self.matrix[rows]

    def sums(self, rows=None, with_squares=False):
        """Sums over some rows, with squared targets or without."""
        some = rows_of(self.matrix if rows is None else self.matrix[rows])
        return PackedSums.of(some, *self._rows.of(rows), self._threads, with_squares=with_squares)

    def ratio(self, sums):
        """That of noisy columns to independent rows, see `compensation.noise_ratio`."""
        own = 1 / sums.effective_rows
        return self._dimensions * (own + (1 - own) * self._collision)


class FloatStore:
    """Rows of an array that are not rounded."""

    sample_bits = None
    noise_by_code = np.zeros((0, 0))

    def __init__(self, X, numbers, rows):
        self._X, self._numbers, self._rows = X, numbers, rows
        self.grid = float_grid(X, numbers)

    def _of_array(self, rows):
        if self._numbers is None:
            return np.arange(len(self._rows)) if rows is None else rows
        return self._numbers if rows is None else self._numbers[rows]

    def take(self, rows):
        """Some rows, as estimators take them."""
        return self._X[self._of_array(rows)]

    def sums(self, rows=None, with_squares=True):
        """Sums over some rows."""
        return FloatSums.of(self._X, self._of_array(rows), self.grid, *self._rows.of(rows))

    def ratio(self, sums):
        """No columns are noisy."""
        return 0.0


class FoldSums:
    """Sums over the training and test rows of every fold, each row counted once where folds divide all rows.

    Parameters
    ----------
    store : PackedStore or FloatStore
    folds : list of (training rows, test rows)
    n_rows : int
    with_squares : bool, whether squares of the targets of test rows are wanted
    """

    def __init__(self, store, folds, n_rows, with_squares):
        self._store, self._folds, self._with_squares = store, folds, with_squares
        self._complements = [_divides((train, test), n_rows) for train, test in folds]
        self._kept, self._total = None, None
        if _divides([test for _, test in folds], n_rows) and len(folds) * store.grid[0].size ** 2 <= MOST_KEPT:
            self._kept = [store.sums(test, with_squares) for _, test in folds]
            if all(self._complements):
                self._total = self._kept[0]
                for sums in self._kept[1:]:
                    self._total = self._total + sums
        elif any(self._complements):
            self._total = store.sums()

    def test(self, k):
        """Sums over the test rows of fold k."""
        return self._kept[k] if self._kept else self._store.sums(self._folds[k][1], self._with_squares)

    def train(self, k):
        """Sums over its training rows: those over all rows less the others, where that is what they are."""
        if self._complements[k] and self._total is not None:
            return self._total - self.test(k)
        return self._store.sums(self._folds[k][0])


def _divides(parts, n_rows):
    """Whether every row is in exactly one of the parts."""
    if sum(map(len, parts)) != n_rows:
        return False
    return bool((np.bincount(np.concatenate(parts), minlength=n_rows) == 1).all())


def packed_at(X, numbers, model, widths, seed):
    """Rows of X packed at all widths, the widest first and then narrowed.

    Parameters
    ----------
    X : array or PackedMatrix
    numbers : int array or None, the rows of X that count
    model : ZipMLModel with the settings of the packing
    widths : list of int or None
    seed : int, 64 bits, of the packing

    Returns
    -------
    dict of width -> PackedMatrix, the widest first
    """
    packed = {}
    for bits in sorted((bits for bits in widths if bits is not None), reverse=True):
        model.sample_bits = bits
        source, some = (next(iter(packed.values())), None) if packed else (X, numbers)
        packed[bits] = matrix_of(model._training_samples(source, some, seed))
    if None in widths and isinstance(X, PackedMatrix):
        model.sample_bits = None
        model._training_samples(X, numbers, seed)  # raises
    return packed


def stores_of(packed, floats, rows, widths, threads):
    """Stores of all widths, in the order of `widths`, and the widest.

    Parameters
    ----------
    packed : dict of width -> PackedMatrix, the widest first
    floats : (array, int array of its rows or None), the rows as they were given
    rows : Rows, of these
    widths : list of int or None
    threads : int
    """
    stores = {bits: PackedStore(some, rows, threads) for bits, some in packed.items()}
    if None in widths:
        stores = {None: FloatStore(*floats, rows)} | stores
    widest = next(iter(stores.values()))
    return [stores[bits] for bits in widths], widest

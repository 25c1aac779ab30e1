"""What runs on the workers: checks of a partition, then the functions of `_shards`."""

from dataclasses import dataclass
from functools import reduce

from sklearn.base import clone
from sklearn.utils.multiclass import check_classification_targets

from .._estimators.validation import check_samples, check_target_part, check_weights_part
from .._shards import packing
from .._shards.frame import Description
from .._shards.shard import load_shard
from .._shards.targets import report_targets, used_rows
from .._solvers.normal_equations import SumsGrid


@dataclass(frozen=True)
class Checks:
    """How partitions are checked.

    Attributes
    ----------
    estimator : the plain estimator, unfitted, whose name errors have
    of_labels : bool, whether targets are class labels; None if they may be anything
    """

    estimator: object
    of_labels: bool | None

    @property
    def drops(self):
        """Whether rows that have no value of any target are left out."""
        return self.of_labels is False and getattr(self.estimator, "missing_target", "error") == "drop"

    def targets(self, y, weights):
        """Arrays of targets and weights, at least one row."""
        kind = {} if self.of_labels else {"multi_output": True, "y_numeric": self.of_labels is not None}
        y = check_target_part(self.estimator, y, **kind)
        if self.of_labels:
            check_classification_targets(y)
        return y, check_weights_part(weights, y)

    def rows(self, X):
        """An array of rows, and names of its columns or None."""
        estimator = clone(self.estimator)
        X = check_samples(estimator, X, reset=True)
        names = getattr(estimator, "feature_names_in_", None)
        return X, None if names is None else tuple(names)


def report(y, weights, checks):
    """The TargetReport of a partition, None without rows."""
    if len(y) == 0:
        return None
    return report_targets(*checks.targets(y, weights), bool(checks.of_labels), checks.drops)


def _used(X, y, weights, checks, number):
    """Rows of a partition that count, their names, targets and weights."""
    n = X.shape[0] if hasattr(X, "shape") else len(X)  # sparse arrays, which are refused below, have no length
    if n != len(y):
        raise ValueError(f"Partition {number} has {n} rows of X, but {len(y)} of y.")
    X, names = checks.rows(X)
    y, weights = checks.targets(y, weights)
    kept = used_rows(y, weights, checks.drops)
    if kept is not None:
        X, y, weights = X[kept], y[kept], None if weights is None else weights[kept]
    return X, names, y, weights


def sketch(X, y, weights, checks, seed, place, number):
    """The ColumnSketch of a partition, and names of its columns."""
    X, names, _, _ = _used(X, y, weights, checks, number)
    return packing.sketch(X, seed, place, names), names


def join_sketches(parts):
    """Those of several."""
    widths, names = {found.n_columns for found, _ in parts}, {names for _, names in parts}
    if len(widths) > 1:
        raise ValueError(f"X: partitions have different numbers of columns: {sorted(widths)}.")
    if len(names) > 1:
        raise ValueError("X: partitions have columns of different names, or in another order.")
    return reduce(lambda one, other: one.joined(other), (found for found, _ in parts)), names.pop()


def pack(X, y, weights, checks, grid, seed, place, number):
    """(Shard, PackingReport) of a partition. grid: (Grid, whether it was found without these rows)."""
    grid, unseen = grid
    X, _, y, weights = _used(X, y, weights, checks, number)
    if X.shape[1] != len(grid.used):
        raise ValueError(f"X has {X.shape[1]} features, but quantizer was fitted to {len(grid.used)}.")
    return packing.pack_part(X, y, weights, grid, seed, place, unseen=unseen)


def second(pair):
    """The second of two."""
    return pair[1]


def join(parts):
    """Parts that have `joined`, joined."""
    return reduce(lambda one, other: one.joined(other), parts)


def finish(pair, common, dtype, names):
    """The Shard of a packed partition, with the statistics of all rows."""
    return packing.with_statistics(pair[0], common, dtype, names)


def describe(shard):
    """The Description of a shard, with its rows, its bytes, and whether it has weights."""
    rows = shard.rows
    statistics = (getattr(rows, name).astype(float) for name in ("mean", "deviation", "rounding_variance"))
    described = Description(SumsGrid.of(rows), rows.dtype, rows.scheme, rows.feature_names, *statistics)
    return described, len(rows), shard.nbytes, shard.weights is not None


def label_report(shard, of_labels):
    """The TargetReport of a shard, whose rows all have a weight."""
    return report_targets(shard.rows.whole("target"), shard.weights, of_labels, not of_labels)


def save(shard, path):
    """Write a shard to a file; its rows."""
    shard.save(path)
    return len(shard)


def load(path):
    """The Shard of a file."""
    return load_shard(path)

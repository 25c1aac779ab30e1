"""What has to be known of the targets and weights of all parts before rows are numbered, packed and summed."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TargetReport:
    """Targets and weights of a part, or of several.

    Attributes
    ----------
    n_rows : int
    n_used : int, of them of a weight that is not zero, and with any of the targets
    heaviest : float, the largest weight; 1 without weights
    n_outputs : tuple, the shape of the target of a row, () for a number
    labels : array or None, distinct values of a target that is of labels
    counts : int64 (labels,), rows of each
    has_missing : bool, whether values of targets are missing in rows that are used
    """

    n_rows: int
    n_used: int
    heaviest: float
    n_outputs: tuple
    labels: np.ndarray | None
    counts: np.ndarray | None
    has_missing: bool = False


def known_rows(y):
    """Which rows have a value of any of the targets, bool (rows,); None for all of them."""
    if y.dtype.kind != "f":
        return None
    known = ~np.isnan(y.reshape(len(y), -1)).all(axis=1)
    return None if known.all() else known


def used_rows(y, weights, drops):
    """Which rows of a part count, bool (rows,); None for all of them.

    Parameters
    ----------
    y : array
    weights : float64 (rows,) or None
    drops : bool, whether rows without any value of the targets are left out
    """
    known = known_rows(y) if drops else None
    if weights is None or weights.all():
        return known
    return weights > 0 if known is None else known & (weights > 0)


def report_targets(y, weights, of_labels, drops=False):
    """The TargetReport of a part; y an array, weights float64 or None; see `used_rows` for the last."""
    used = used_rows(y, weights, drops)
    n_used = len(y) if used is None else int(np.count_nonzero(used))
    missing = y.dtype.kind == "f" and bool(np.isnan(y if used is None else y[used]).any())
    labels, counts = np.unique(y, return_counts=True) if of_labels else (None, None)
    heaviest = 1.0 if weights is None else float(weights.max(initial=0))
    return TargetReport(len(y), n_used, heaviest, y.shape[1:], labels, counts, missing)


def joined_reports(reports):
    """That of all parts.

    Raises
    ------
    ValueError
        Where the targets of parts have different shapes.
    """
    shapes = {report.n_outputs for report in reports}
    if len(shapes) != 1:
        raise ValueError(f"y: the targets of partitions have {len(shapes)} different shapes for a row: {shapes}.")
    labels = counts = None
    if reports[0].labels is not None:
        labels, where = np.unique(np.concatenate([report.labels for report in reports]), return_inverse=True)
        counts = np.bincount(where, np.concatenate([report.counts for report in reports])).astype(np.int64)
    n_rows, n_used = (sum(getattr(report, name) for report in reports) for name in ("n_rows", "n_used"))
    heaviest, missing = (max(getattr(report, name) for report in reports) for name in ("heaviest", "has_missing"))
    return TargetReport(n_rows, n_used, heaviest, shapes.pop(), labels, counts, missing)


@dataclass(frozen=True)
class TargetCode:
    """How targets become numbers, and rows get their weights.

    Attributes
    ----------
    labels : array or None, sorted: targets are of labels
    coded : callable(label numbers, number of labels) -> float64 (rows, outputs), or None
    of_labels : float64 (labels,) or None, weights of the labels, all positive
    unit : float, that weights are divided by, a power of two
    has_missing : bool, whether values of targets, which are NaN then, may be missing
    """

    labels: np.ndarray | None = None
    coded: object = None
    of_labels: np.ndarray | None = None
    unit: float = 1.0
    has_missing: bool = False

    def __call__(self, shard):
        """Targets, float64 (rows, outputs), and weights, float64 (rows,) or None, of a Shard."""
        y, weights = shard.rows.whole("target"), shard.weights
        if self.labels is None:
            targets = np.asarray(y, dtype=np.float64, order="C").reshape(len(y), -1)
        else:
            numbers = np.searchsorted(self.labels, y)
            targets = self.coded(numbers, len(self.labels))
            if self.of_labels is not None:
                by_label = self.of_labels[numbers]
                weights = by_label if weights is None else weights * by_label
        if self.unit != 1:
            with np.errstate(over="ignore", under="ignore"):
                weights = (np.ones(len(y)) if weights is None else weights) / self.unit
        return targets, weights

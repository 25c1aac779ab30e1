"""What has to be known of the targets and weights of all parts before rows are numbered, packed and summed."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TargetReport:
    """Targets and weights of a part, or of several.

    Attributes
    ----------
    n_rows : int
    n_used : int, of them of a weight that is not zero
    heaviest : float, the largest weight; 1 without weights
    n_outputs : tuple, the shape of the target of a row, () for a number
    labels : array or None, distinct values of a target that is of labels
    counts : int64 (labels,), rows of each
    """

    n_rows: int
    n_used: int
    heaviest: float
    n_outputs: tuple
    labels: np.ndarray | None
    counts: np.ndarray | None


def report_targets(y, weights, of_labels):
    """The TargetReport of a part; y an array, weights float64 or None."""
    n_used = len(y) if weights is None else int(np.count_nonzero(weights))
    labels, counts = np.unique(y, return_counts=True) if of_labels else (None, None)
    heaviest = 1.0 if weights is None else float(weights.max(initial=0))
    return TargetReport(len(y), n_used, heaviest, y.shape[1:], labels, counts)


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
    return TargetReport(n_rows, n_used, max(report.heaviest for report in reports), shapes.pop(), labels, counts)


@dataclass(frozen=True)
class TargetCode:
    """How targets become numbers, and rows get their weights.

    Attributes
    ----------
    labels : array or None, sorted: targets are of labels
    coded : callable(label numbers, number of labels) -> float64 (rows, outputs), or None
    of_labels : float64 (labels,) or None, weights of the labels, all positive
    unit : float, that weights are divided by, a power of two
    """

    labels: np.ndarray | None = None
    coded: object = None
    of_labels: np.ndarray | None = None
    unit: float = 1.0

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

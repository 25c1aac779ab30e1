"""Normal equations of targets that are known of different rows: one for the targets that always were known together."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

import numpy as np

from .._storage.packed_rows import PackedRows
from .._storage.take import take


@dataclass
class SolutionByTarget:
    """What `Solution` is, of all groups: `rounding_loss` gives the losses of all outputs."""

    coef: np.ndarray
    intercept: np.ndarray
    objective: float
    rounding_loss: Callable


class MomentsByTarget:
    """Moments of all rows seen of every target; see NormalEquations, whose methods these are.

    Parameters
    ----------
    groups : list of (int array of outputs, NormalEquations)
    seed : int, 64 bits, of the first chunk's draws
    n_chunks, n_rows : int, of any target
    """

    def __init__(self, groups, seed, n_chunks, n_rows):
        self._groups, self.seed, self.n_chunks, self.n_rows = groups, seed, n_chunks, n_rows

    @classmethod
    def of(cls, moments):
        """The same of NormalEquations, or of these themselves."""
        if isinstance(moments, cls):
            return moments
        return cls([(np.arange(moments.n_outputs), moments)], moments.seed, moments.n_chunks, moments.n_rows)

    def add(self, rows, targets, weights, threads=1):
        """Take rows into account; see `NormalEquations.add`. NaN in targets (rows, outputs) is what is missing."""
        self.n_chunks, self.n_rows = self.n_chunks + 1, self.n_rows + len(targets)
        groups, patterns = [], np.packbits(np.isnan(targets), axis=0)
        for outputs, moments in self._groups:
            _, kinds = np.unique(patterns[:, outputs], axis=1, return_inverse=True)
            for kind in range(kinds.max() + 1):
                own = np.flatnonzero(kinds == kind)
                part = copy(moments) if len(own) == len(outputs) else moments.of_outputs(own)
                _add_known(part, rows, targets[:, outputs[own]], weights, threads)
                groups.append((outputs[own], part))
        self._groups = groups  # a new list, so that a copy of before is as it was

    def merge(self, other):
        """The moments of the rows of both, by targets that were always known together in both; exact as those are.

        Parameters
        ----------
        other : MomentsByTarget of as many columns and outputs

        Returns
        -------
        MomentsByTarget, with the seed of this one
        """
        groups = []
        for outputs, mine in self._groups:
            for others, theirs in other._groups:
                both = np.intersect1d(outputs, others)
                if both.size:
                    groups.append((both, _of_some(mine, outputs, both).merge(_of_some(theirs, others, both))))
        counts = self.n_chunks + other.n_chunks, self.n_rows + other.n_rows
        return MomentsByTarget(sorted(groups, key=lambda group: group[0][0]), self.seed, *counts)

    @property
    def nbytes(self):
        """Memory of the moments."""
        return sum(moments.nbytes for _, moments in self._groups)

    @property
    def total(self):
        """Sum of the weights of the rows of each target, float64 (outputs,)."""
        return self._of_outputs([np.full(len(outputs), moments.total) for outputs, moments in self._groups])

    def minimum(self, alpha, centred, dtype):
        """See `NormalEquations.minimum`.

        Raises
        ------
        ValueError
            If there has been no value of a target.
        """
        unknown = np.flatnonzero(self.total == 0)
        if unknown.size:
            raise ValueError(
                f"Output {unknown[0]} of y has no value that is known in the rows so far: begin with a chunk that has "
                "some of every output, or leave it out."
            )
        found = [moments.minimum(alpha, centred, dtype) for _, moments in self._groups]
        coef, intercept = (
            self._of_outputs([own.coef for own in found]),
            self._of_outputs([own.intercept for own in found]),
        )
        loss = float(min(sum(own.objective for own in found), np.finfo(np.float64).max))
        return SolutionByTarget(coef, intercept, loss, lambda: self._of_outputs([own.rounding_loss() for own in found]))

    def _of_outputs(self, parts):
        """Values of the groups in the order of the outputs."""
        return np.concatenate(parts)[np.argsort(np.concatenate([outputs for outputs, _ in self._groups]))]


def _of_some(moments, outputs, some):
    """Moments of some of sorted outputs."""
    return moments if len(some) == len(outputs) else moments.of_outputs(np.searchsorted(outputs, some))


def _add_known(moments, rows, targets, weights, threads):
    """Take the rows into account whose targets, known of the same ones, are known."""
    known = ~np.isnan(targets[:, 0])
    if not known.any():
        return
    if not known.all():
        some = np.flatnonzero(known)
        rows = take(rows, some) if isinstance(rows, PackedRows) else rows[some]
        targets, weights = targets[some], weights[some]
    moments.add(rows, targets, weights, threads)

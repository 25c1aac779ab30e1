"""The logistic loss of margins: of one output for two classes, of one for each class for more (softmax).

Rows come in runs that stay in the caches, shared out among threads; sums do not depend on how many.
"""

from dataclasses import dataclass, replace

import numpy as np

from .._kernels.threads import run_team

# Margins of a run of rows: its arrays stay near the core.
RUN_VALUES = 1 << 15
# Rows that tell which classes are confused.
PAIR_ROWS, PAIR_ROWS_BY_CLASS = 8192, 128


@dataclass(frozen=True)
class Labels:
    """Class numbers of rows and their weights.

    Attributes
    ----------
    numbers : intp (rows,), 0 or 1 with one output
    n_outputs : int, 1 for two classes, else one for each
    weights : float64 (rows,) of mean one, or empty for equal ones
    threads : int
    """

    numbers: np.ndarray
    n_outputs: int
    weights: np.ndarray
    threads: int = 1

    def shares(self):
        """Weighted share of every class, float64."""
        n_classes = max(2, self.n_outputs)
        counts = np.bincount(self.numbers, self.weights if len(self.weights) else None, minlength=n_classes)
        return counts / counts.sum()

    def first(self, count):
        """Those of the first rows."""
        return replace(self, numbers=self.numbers[:count], weights=self.weights[:count])

    def runs(self, work):
        """Results of work(rows) for runs of rows, in order."""
        n = len(self.numbers)
        size = max(256, RUN_VALUES // self.n_outputs)
        count = max(1, -(-n // size))
        out, threads = [None] * count, min(self.threads, count) if n * self.n_outputs > 4 * RUN_VALUES else 1

        def member(k):
            for run in range(count * k // threads, count * (k + 1) // threads):
                out[run] = work(slice(run * size, min(n, (run + 1) * size)))

        run_team(threads, member)
        return out


@dataclass(frozen=True)
class Line:
    """The mean loss at one place of a line of margins.

    Attributes
    ----------
    loss : float
    along_margins, along_image : float, mean products of slopes with the margins there and with the line's direction
    """

    loss: float
    along_margins: float
    along_image: float


def evaluate(labels, scale, margins, slopes, image=None, length=0.0):
    """Mean loss of scale * (margins + length * image), and in `slopes` its derivatives by the scaled margins.

    Parameters
    ----------
    labels : Labels
    scale : float
    margins, image : float64 (outputs, rows); no image stands for zeros
    slopes : float64 (outputs, rows), filled with weighted derivatives
    length : float

    Returns
    -------
    Line
    """
    loss_of = _two_classes if labels.n_outputs == 1 else _many_classes

    def run(rows):
        m = margins[:, rows]
        if image is not None and length:
            m = m + length * image[:, rows]
        losses, derivatives = loss_of(scale * m, labels.numbers[rows])
        if len(labels.weights):
            losses = losses * labels.weights[rows]
            derivatives *= labels.weights[rows]
        slopes[:, rows] = derivatives
        turn = np.einsum("ki,ki->", derivatives, image[:, rows]) if image is not None else 0.0
        return losses.sum(), np.einsum("ki,ki->", derivatives, m), turn

    sums = np.array(labels.runs(run)).sum(axis=0) / max(1, len(labels.numbers))
    return Line(*(float(value) for value in sums))


def predicted(labels, slopes, rows):
    """Probabilities of the classes with an output of their own, (outputs, rows), of some rows with such slopes."""
    p, numbers = slopes[:, rows], labels.numbers[rows]
    if len(labels.weights):
        weights = labels.weights[rows]
        p = np.divide(p, weights, out=np.zeros_like(p), where=weights > 0)
    else:
        p = p.copy()
    if labels.n_outputs == 1:
        p += numbers
    else:
        p[numbers, np.arange(p.shape[1])] += 1
    return np.clip(p, 0, 1, out=p)


def curvatures(labels, slopes):
    """Weighted second derivatives by each output's own margin, p (1 - p), of rows with such slopes, (outputs, rows)."""
    out = np.empty_like(slopes)

    def run(rows):
        p = predicted(labels, slopes, rows)
        p *= 1 - p
        out[:, rows] = p * labels.weights[rows] if len(labels.weights) else p

    labels.runs(run)
    return out


def curved(labels, slopes, image):
    """Weighted second derivatives of the loss of rows with such slopes, times a change of margins, (outputs, rows)."""
    out = np.empty_like(image)

    def run(rows):
        p, m = predicted(labels, slopes, rows), image[:, rows]
        along = p * m
        out[:, rows] = along - p * (along if labels.n_outputs == 1 else along.sum(axis=0))
        if len(labels.weights):
            out[:, rows] *= labels.weights[rows]

    labels.runs(run)
    return out


def pair_rows(n_outputs):
    """Rows, in the order of slots and so at random, that stand for all where classes are looked at in pairs."""
    return max(PAIR_ROWS, PAIR_ROWS_BY_CLASS * n_outputs)


def pair_curvatures(labels, slopes):
    """Sums of second derivatives by pairs of margins, diag(p) - p p', float64 (classes, classes), of many classes."""
    p = predicted(labels, slopes, slice(None))
    weighted = p * labels.weights if len(labels.weights) else p
    return np.diag(weighted.sum(axis=1)) - weighted @ p.T


def probabilities(decisions):
    """Probabilities of the classes, (rows, classes), of decision values (rows, outputs)."""
    if decisions.shape[1] == 1:
        decisions = np.concatenate([np.zeros_like(decisions), decisions], axis=1)
    decisions = decisions - decisions.max(axis=1, keepdims=True)
    np.exp(decisions, out=decisions)
    decisions /= decisions.sum(axis=1, keepdims=True)
    return decisions


def log_probabilities(decisions):
    """Their logarithms, also of probabilities that are zero in floating point."""
    if decisions.shape[1] == 1:
        decisions = np.concatenate([np.zeros_like(decisions), decisions], axis=1)
    decisions = decisions - decisions.max(axis=1, keepdims=True)
    return decisions - np.log(np.exp(decisions).sum(axis=1, keepdims=True))


def _two_classes(margins, numbers):
    """Losses (rows,) and derivatives (1, rows)."""
    m = margins[0]
    small = np.exp(-np.abs(m))
    losses = np.maximum(m, 0) - numbers * m + np.log1p(small)
    p = np.where(m >= 0, 1.0, small)
    p /= 1 + small
    return losses, (p - numbers)[None]


def _many_classes(margins, numbers):
    """Losses (rows,) and derivatives (classes, rows)."""
    places = np.arange(margins.shape[1])
    margins = margins - margins.max(axis=0)
    own = margins[numbers, places]
    np.exp(margins, out=margins)
    total = margins.sum(axis=0)
    losses = np.log(total) - own
    margins /= total
    margins[numbers, places] -= 1
    return losses, margins

"""Steep directions, which both sides of the rounds know: vectors go exactly along them, and in few bits across.

A direction of some hundred times the curvature of the others makes of what rounding leaves of a move a gradient that is
larger than all else there is to tell, and the error of a message about that hides the rest. So the leader looks for
such directions in the changes of the gradient that moves have shown, and tells them to the parts, once. From then on
the errors of messages have no part along them: it is made good for in a few numbers beside the codes. The parts tell
the curvature along them, so that the leader goes down as preconditioned conjugate gradients do, and what probes across
them show, as more of them seldom come alone.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._kernels.row_order import mix, rows_below
from .messages import decoded, encoded, rounding_error, shares_bytes, shares_of, with_shares

STEEP = 1.3  # curvature over that of the others, in parts of the root of the number of columns, of a direction
LOOK_BITS = 4  # of candidates and what they show, at most: the next step makes them better
CERTAIN = 3.0  # times the error of what shows it
NUMBERS = 48  # of a vector, for each direction at most
LEAST_SHARE = 1e-3  # of the largest direction of moves
SKETCH = (1 << 61) + 1
ALL = np.iinfo(np.uint64).max
LEAST_REST = 0.01  # mean curvature of all but the directions


class Directions:
    """Vectors that span the steep directions, as both sides have them.

    Parameters
    ----------
    rows : float64 (directions, numbers)
    """

    def __init__(self, rows):
        self.rows = rows

    @classmethod
    def none(cls, size):
        """No directions of vectors of so many numbers."""
        return cls(np.zeros((0, size)))

    def __len__(self):
        return len(self.rows)

    def __sizeof__(self):
        return 2 * self.rows.nbytes

    @cached_property
    def _shares(self):
        return np.linalg.pinv(self.rows)

    def across(self, vectors):
        """What vectors have across the directions."""
        return vectors - (vectors @ self._shares) @ self.rows

    def joined(self, rows):
        """These and more."""
        return Directions(np.concatenate([self.rows, rows]))

    def encoded(self, vectors, bits, seed, beside=0):
        """The message of vectors, of whose error nothing is along the directions; see `messages.encoded`."""
        if not len(self):
            return encoded(vectors, bits, seed, beside)
        message = encoded(self.across(vectors), bits, seed, beside + shares_bytes(len(vectors), len(self)))
        return with_shares(message, (vectors - decoded(message)) @ self._shares)

    def decoded(self, message):
        """The vectors of a message, with directions or without."""
        vectors, shares = decoded(message), shares_of(message, len(self))
        return vectors if shares is None else vectors + shares @ self.rows


class Metric:
    """Curvature as the leader takes it to be: that of directions where it is known, and elsewhere the same everywhere.

    Parameters
    ----------
    basis : float64 (directions, numbers), orthonormal
    curvature : float64 (directions, directions), along them, over the mean of the others
    """

    def __init__(self, basis, curvature):
        self.basis, one = basis, np.eye(len(basis))
        self._more, self._less = curvature - one, np.linalg.inv(curvature) - one

    @classmethod
    def flat(cls, size):
        """That of no directions."""
        return cls(np.zeros((0, size)), np.zeros((0, 0)))

    @classmethod
    def of(cls, directions, bends):
        """That of Directions with products of their rows by the Hessian, float64 (directions, directions)."""
        basis, triangle = np.linalg.qr(directions.rows.T)
        (count, k), inverse = basis.shape, np.linalg.inv(triangle)
        values, vectors = np.linalg.eigh(inverse.T @ ((bends + bends.T) / 2) @ inverse)
        # curvatures add up to the number of columns, about
        rest = max((count - values.sum()) / max(count - k, 1), LEAST_REST)
        return cls(basis.T, (vectors * np.maximum(values / rest, 1.0)) @ vectors.T)

    def bent(self, moves):
        """Gradients that this curvature makes of moves."""
        return moves + ((moves @ self.basis.T) @ self._more) @ self.basis

    def step(self, slopes):
        """Moves that make such gradients."""
        return slopes + ((slopes @ self.basis.T) @ self._less) @ self.basis

    def square(self, slope):
        """Squared size of a gradient, (numbers,) or (gradients, numbers)."""
        return (slope * self.step(slope)).sum(axis=-1)


@dataclass(frozen=True, eq=False)
class Told:
    """What a part tells of directions.

    Attributes
    ----------
    bends : float32 (new directions, directions) or None, products of new ones by its share of the Hessian
    sketch : bytes or None, message of gradients that candidates make, and probes, see `sketched`
    """

    bends: np.ndarray | None
    sketch: bytes | None

    @property
    def nbytes(self):
        """What it takes to send it."""
        return (0 if self.bends is None else self.bends.nbytes) + (0 if self.sketch is None else len(self.sketch))


def tell(directions, known, candidates, product, rounding):
    """The Told of a part; None where there is nothing new.

    Parameters
    ----------
    directions : Directions
    known : int, how many of them are not new
    candidates : float64 (candidates, numbers) or None
    product : callable(float64 (some, numbers)) -> the gradients that such moves make
    rounding : (bits, seed)
    """
    fresh, bends, sketch = directions.rows[known:], None, None
    if len(fresh):
        bends = (product(fresh) @ directions.rows.T).astype(np.float32)
    if candidates is not None:
        basis = directions.joined(candidates)
        moves = np.concatenate([candidates, probes(basis, len(directions))])
        sketch = basis.encoded(product(moves), min(rounding[0], LOOK_BITS), mix(rounding[1], SKETCH))
    return None if bends is None and sketch is None else Told(bends, sketch)


def probes(directions, known):
    """Unit moves of random signs across directions, one more than those that are new."""
    k, count = directions.rows.shape
    new = k - known
    bits = rows_below(mix(SKETCH, k), 0, (new + 1) * count, ALL)[1] >> np.uint64(63)
    return directions.across((2.0 * bits.reshape(new + 1, count) - 1) / np.sqrt(count))


def sketched(messages, directions, candidates):
    """(moves, changes, errors) of candidates and probes, as the sketches of all parts tell them.

    They are exact along candidates, so that a candidate's change is surer the nearer it is to an eigenvector.
    """
    basis = directions.joined(candidates)
    errors = np.sqrt(sum(rounding_error(message) ** 2 for message in messages))
    moves = np.concatenate([candidates, probes(basis, len(directions))])
    return moves, sum(map(basis.decoded, messages)), errors


def least_beside(moves, changes):
    """How steep directions are, beside candidates, over the others, whose mean curvature probes tell: see STEEP."""
    rest = (moves * changes).sum() / (moves**2).sum()
    return STEEP * min(max(rest, LEAST_REST), 1.0)


def steep(moves, changes, errors, known, least=STEEP):
    """Directions that moves show to be steep beside known ones, orthonormal, float64 (some, numbers).

    The curvature is that of Nystrom: of a move, its change, and the part of that along it.

    Parameters
    ----------
    moves, changes : float64 (moves, numbers)
    errors : float64 (moves,), of the changes
    known : float64 (directions, numbers)
    least : float, see STEEP
    """
    size = moves.shape[1]
    most = max(size // NUMBERS - len(known), 0)
    if len(known):
        basis = np.linalg.qr(known.T)[0]
        changes = changes - (changes @ basis) @ basis.T
    matrix = moves @ changes.T
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    kept = values > LEAST_SHARE * max(values[-1], np.finfo(float).tiny)
    mixing = (vectors[:, kept] / np.sqrt(values[kept])).T
    curvatures, left = np.linalg.eigh(mixing @ (changes @ changes.T) @ mixing.T)
    found = left.T[::-1] @ mixing
    curvatures = curvatures[::-1].clip(min=0)
    kept = (curvatures > least * np.sqrt(size)) & (np.sqrt(curvatures) > CERTAIN * np.sqrt(found**2 @ errors**2))
    return (found[kept][:most] @ changes) / np.sqrt(curvatures[kept][:most, None])

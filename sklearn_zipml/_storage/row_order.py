"""Which row stands where: the rows of a tiled matrix are shuffled once, so that tiles are fair samples."""

import numpy as np

from .._kernels import row_order as order_kernels
from .._kernels.threads import in_threads

CHUNK = 1 << 17
LEAST_GATHERED = 256
THREAD_ROWS = 1 << 14


class RowOrder:
    """Keyed pseudo-random permutation of n rows, computed when asked for: an index array would cost 4 bytes a row.

    Rows that were appended later have a permutation of their own, behind the others. Rows that were taken out of a
    matrix may keep the order they had there, which is as random; then it is listed.

    Parameters
    ----------
    n : int
    seed : int of 64 bits, or tuple of (rows, seed) pairs, one for each part that was packed at once
    listed : int32 or int64 array of the rows of the first part in the order of slots, or None for the permutation

    Attributes
    ----------
    n : int
    parts : tuple of (rows, seed) pairs
    listed : array or None
    seed : int, 64 bits, to derive other seeds from
    """

    __slots__ = ("listed", "n", "parts", "seed")

    def __init__(self, n, seed, listed=None):
        parts = ((n, seed),) if np.ndim(seed) == 0 else seed
        self.n, self.parts = int(n), tuple((int(rows), int(part)) for rows, part in parts)
        if sum(rows for rows, _ in self.parts) != self.n:
            raise ValueError(f"the parts {self.parts} do not make {self.n} rows")
        if listed is not None and len(listed) != self.parts[0][0]:
            raise ValueError(f"{len(listed)} rows are listed of a part of {self.parts[0][0]}")
        self.listed, self.seed = listed, self.parts[0][1]
        for rows, part in self.parts[1:]:
            self.seed = order_kernels.mix(self.seed, part ^ rows)

    def followed_by(self, n, seed):
        """The order of these rows and n more with a permutation of their own."""
        parts = (*self.parts, (n, seed)) if self.n else ((n, seed),)
        return RowOrder(self.n + n, parts, self.listed if self.n else None)

    def _spans(self):
        """First row, number of rows, seed and list of every part."""
        start, listed = 0, self.listed
        for rows, seed in self.parts:
            yield start, rows, seed, listed
            start, listed = start + rows, None

    def rows(self, first=0, last=None, n_jobs=1):
        """Rows in slots first..last-1, int64."""
        last = self.n if last is None else min(last, self.n)
        found = [np.empty(0, dtype=np.int64)]
        for start, n, seed, listed in self._spans():
            begin, end = max(first, start), min(last, start + n)
            if begin >= end:
                continue
            if listed is not None:
                found.append(listed[begin:end].astype(np.int64))
            else:
                found.extend(start + rows for rows in _permuted(n, seed, begin - start, end - begin, n_jobs))
        return found[-1] if len(found) <= 2 else np.concatenate(found)

    def slots(self, rows, n_jobs=1):
        """Slots of the given rows, int64."""
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        if self.listed is not None:
            places = np.empty(len(self.listed), dtype=np.int64)
            places[self.listed] = np.arange(len(places))

        def of_part(some, n, seed, listed):
            return order_kernels.inverse_permutation(n, seed, some) if listed is None else places[some]

        def slots(first, last):
            some = rows[first:last]
            if len(self.parts) == 1:
                return of_part(some, self.n, self.seed, self.listed)
            out = np.empty_like(some)
            for start, *part in self._spans():
                own = (some >= start) & (some < start + part[0])
                out[own] = start + of_part(some[own] - start, *part)
            return out

        found = in_threads(slots, len(rows), THREAD_ROWS, n_jobs)
        return found[0] if len(found) == 1 else np.concatenate(found)

    def to_slots(self, values, n_slots, dtype, n_jobs=1):
        """Values of rows, (..., n), rearranged into slots, (..., n_slots), zero behind the last row."""
        out = np.zeros((*values.shape[:-1], n_slots), dtype=dtype)
        # values of a row lie together as a rule: so few rows that what is gathered of them stays in the caches
        size = max(LEAST_GATHERED, CHUNK // max(1, values[..., :1].size))
        for first in range(0, self.n, CHUNK):
            rows = self.rows(first, first + CHUNK, n_jobs)
            for start in range(0, len(rows), size):
                some = rows[start : start + size]
                out[..., first + start : first + start + len(some)] = values.T[some].T
        return out

    def to_rows(self, values):
        """Values in slots, (..., n_slots), rearranged into rows, (..., n)."""
        out = np.empty((*values.shape[:-1], self.n), dtype=values.dtype)
        for first in range(0, self.n, CHUNK):
            rows = self.rows(first, first + CHUNK)
            out[..., rows] = values[..., first : first + len(rows)]
        return out


def _permuted(n, seed, begin, count, n_jobs):
    """Rows of `count` slots from `begin` on, in pieces."""

    def rows(first, last):
        return order_kernels.permutation(n, seed, begin + first, last - first)

    return in_threads(rows, count, THREAD_ROWS, n_jobs)

"""Which row comes where: permutations, random samples and hashes of rows, all from seeds."""

import numpy as np

from sklearn_zipml._kernels.active cimport active_kernels
from sklearn_zipml._kernels.checks cimport require, require_rows
from sklearn_zipml._kernels.encoding cimport zml_encoding
from sklearn_zipml._kernels.tiles cimport int64_t, uint8_t, uint32_t, uint64_t
from sklearn_zipml._kernels.workers cimport poll_in_time, poll_locked

cdef extern from "format/rng.h" nogil:
    uint64_t zml_mix64(uint64_t x)

cdef extern from "format/rows.h" nogil:
    ctypedef int zml_poll() except -1 nogil
    int zml_shuffle_rows(uint8_t *rows, size_t size, uint64_t n, uint64_t seed, uint8_t *visited, uint8_t *spare,
                         zml_poll *poll) except -1

cdef enum:
    # Rows of a permutation between polls.
    POLLED_ROWS = 1 << 18


def mix(uint64_t seed, uint64_t counter):
    """A 64-bit seed derived from another."""
    return zml_mix64(seed ^ zml_mix64(counter))


def permutation(size_t n, uint64_t seed, size_t first, size_t count):
    """Rows that slots first..first+count-1 hold, in a keyed permutation of n rows."""
    require(first <= n and count <= n - first, "slots that there are not")
    rows = np.empty(count, dtype=np.int64)
    cdef int64_t[::1] view = rows
    cdef size_t done = 0, some
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    with nogil:
        while done < count:
            some = min(<size_t> POLLED_ROWS, count - done)
            encoding.permute(n, seed, first + done, some, &view[done])
            done += some
            if done < count:
                poll_locked()
    return rows


def inverse_permutation(size_t n, uint64_t seed, const int64_t[::1] rows):
    """Slots that hold the given rows."""
    require_rows(rows, n)
    slots = np.empty(rows.shape[0], dtype=np.int64)
    cdef int64_t[::1] view = slots
    cdef size_t done = 0, some, count = rows.shape[0]
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    with nogil:
        while done < count:
            some = min(<size_t> POLLED_ROWS, count - done)
            encoding.permute_back(n, seed, &rows[done], some, &view[done])
            done += some
            if done < count:
                poll_locked()
    return slots


def shuffle_rows(uint8_t[:, ::1] rows, uint64_t seed):
    """Bring packed rows, in place, into the order of `permutation`: slot s gets row permutation(s)."""
    cdef size_t n = rows.shape[0], size = rows.shape[1]
    cdef uint8_t[::1] visited = np.zeros(n // 8 + 1, dtype=np.uint8)
    cdef uint8_t[::1] spare = np.empty(max(size, <size_t> 1), dtype=np.uint8)
    if n and size:
        with nogil:
            zml_shuffle_rows(&rows[0, 0], size, n, seed, &visited[0], &spare[0], poll_locked)


def rows_below(uint64_t seed, uint64_t first, uint64_t last, uint64_t limit):
    """Rows among first..last-1 whose random priority is at most `limit`, int64, and these priorities, uint64."""
    cdef uint64_t row, priority
    cdef size_t count = 0, seen = 0
    require(first <= last, "rows end before they begin")
    rows, keys = np.empty(last - first, dtype=np.int64), np.empty(last - first, dtype=np.uint64)
    cdef int64_t[::1] rows_view = rows
    cdef uint64_t[::1] keys_view = keys
    with nogil:
        for row in range(first, last):
            poll_in_time(&seen, 1)
            priority = zml_mix64(row + seed)
            if priority <= limit:
                rows_view[count], keys_view[count] = row, priority
                count += 1
    return rows[:count].copy(), keys[:count].copy()  # what was not touched takes no memory


def row_hashes(const uint32_t[:, ::1] words, const uint64_t[::1] multipliers, uint64_t[::1] out):
    """Sums of the words of every row times multipliers, modulo 2^64."""
    cdef Py_ssize_t i, j
    cdef uint64_t total
    with nogil:
        for i in range(words.shape[0]):
            total = 0
            for j in range(words.shape[1]):
                total += words[i, j] * multipliers[j]
            out[i] = total

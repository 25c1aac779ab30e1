"""A loop shared out among threads."""

from itertools import pairwise

from joblib import Parallel, delayed, effective_n_jobs


def in_threads(work, n, block, n_jobs):
    """Results of work(first, last) over 0..n-1, shared out in whole blocks among as many threads as n_jobs says.

    n_jobs is joblib's: None is 1 unless a `joblib.parallel_config` says otherwise, and inside the workers of another
    `Parallel` it is what joblib leaves for them, so that a search does not run more threads than asked for. The C code
    releases the interpreter's lock.
    """
    blocks = -(-n // block)
    threads = min(effective_n_jobs(n_jobs), blocks)
    if threads <= 1:
        return [work(0, n)]
    bounds = [min(n, blocks * k // threads * block) for k in range(threads + 1)]
    return Parallel(n_jobs=threads, prefer="threads", require="sharedmem")(
        delayed(work)(*pair) for pair in pairwise(bounds)
    )

"""Work shared out among threads."""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import current_thread, main_thread

from joblib import cpu_count, effective_n_jobs
from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController

POOL = "sklearn_zipml"
THREAD_TILES = 64  # tiles that a thread is given at least
MOST_THREADS = 1024  # they are started when needed, and only where all others are busy


def threads_of(n_jobs):
    """Threads that n_jobs allows here.

    None is what a `joblib.parallel_config` says. Without one it is as many as the compiled loops of scikit-learn itself
    take, those of OpenMP: `threadpoolctl.threadpool_limits`, OMP_NUM_THREADS and joblib, which leaves every worker
    process its share of the processors, bound them; in a thread of another `Parallel` it is one. Numbers are joblib's,
    and bound by that share too.
    """
    if current_thread().name.startswith(POOL):
        return 1
    backend, configured = get_active_backend()
    is_thread = current_thread() is not main_thread() and backend.nesting_level
    if n_jobs is None and configured is None and not is_thread:
        return _openmp_threads()
    threads = effective_n_jobs(n_jobs)
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if threads > 1 and limit.isdecimal() and backend.nesting_level:
        return max(1, min(threads, int(limit)))
    return threads


@cache
def _libraries():
    """The thread pools of this process; scikit-learn brings OpenMP along wherever it was built with it."""
    return ThreadpoolController()


def _openmp_threads():
    openmp = _libraries().select(user_api="openmp").lib_controllers
    return max(1, min([cpu_count(), *(library.num_threads for library in openmp)]))


def one_blas_thread():
    """A context in which BLAS has one thread: after a product the others spin for a while, where ours could run."""
    return _libraries().limit(limits=1, user_api="blas")


def in_threads(work, n, block, n_jobs):
    """Results of work(first, last) over 0..n-1, shared out in whole blocks among as many threads as n_jobs says.

    The C code releases the interpreter's lock.
    """
    blocks = -(-n // block)
    threads = min(threads_of(n_jobs), blocks) if blocks > 1 else 1
    if threads <= 1:
        return [work(0, n)]
    bounds = [min(n, blocks * k // threads * block) for k in range(threads + 1)]
    return run_team(threads, lambda member: work(bounds[member], bounds[member + 1]), lambda: None)


def run_team(size, work, stop):
    """Results of work(member) of `size` members that may wait for each other, so that each has a thread of its own.

    The calling thread is member 0. stop() makes all members return; it is called if one raises, and then this does.
    """
    if size == 1:
        return [work(0)]

    def keep(member):
        try:
            return work(member)
        except BaseException:  # the others would wait for ever
            stop()
            raise

    others = [_pool().submit(keep, member) for member in range(1, size)]
    try:
        own = keep(0)
    finally:
        wait(others)
    return [own, *(other.result() for other in others)]


# Not joblib.Parallel, which takes tens of milliseconds to start threads and to notice that they are done. And not new
# threads: starting one is an exchange of signals, after which Linux tends to leave both threads on one processor.
@cache
def _pool():
    return ThreadPoolExecutor(MOST_THREADS, thread_name_prefix=POOL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of its parent's threads

"""Work shared out among threads."""

import os
from functools import cache
from numbers import Integral
from threading import current_thread, main_thread

from joblib import cpu_count, effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn.utils._param_validation import Interval
from threadpoolctl import ThreadpoolController

from .._parameters import check_parameters
from .workers import Hold, in_worker, poll, run_abandonable, run_team

__all__ = [
    "N_JOBS",
    "THREAD_TILES",
    "check_n_jobs",
    "in_threads",
    "lapack",
    "one_blas_thread",
    "poll",
    "run_team",
    "threads_of",
]

THREAD_TILES = 64  # tiles that a thread is given at least
MOST_THREADS = 1024
# What scikit-learn's parameter validation is to accept as n_jobs.
N_JOBS = [None, Interval(Integral, None, -1, closed="right"), Interval(Integral, 1, None, closed="left")]
LARGE_SIDE = 1024  # of a matrix: LAPACK takes a good part of a second for it


def check_n_jobs(n_jobs, caller):
    """Raise scikit-learn's error unless n_jobs is None or a number of threads, as joblib counts them."""
    check_parameters({"n_jobs": N_JOBS}, {"n_jobs": n_jobs}, caller)


def threads_of(n_jobs):
    """Threads that n_jobs allows here.

    None is what a `joblib.parallel_config` says. Without one it is as many as the compiled loops of scikit-learn itself
    take, those of OpenMP: `threadpoolctl.threadpool_limits`, OMP_NUM_THREADS and joblib, which leaves every worker
    process its share of the processors, bound them; in a thread of another `Parallel` it is one. Numbers are joblib's,
    and bound by that share too.
    """
    if in_worker():
        return 1
    backend, configured = get_active_backend()
    is_thread = current_thread() is not main_thread() and backend.nesting_level
    if n_jobs is None and configured is None and not is_thread:
        return _openmp_threads()
    threads = effective_n_jobs(n_jobs if n_jobs is None else int(n_jobs))  # small NumPy integers would overflow
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


class _BlasLimit:
    """One thread for BLAS, for as long as anyone wants it. Only one thread asks, as threadpoolctl wants it, too."""

    def __init__(self):
        self.wanted, self._before = 0, []

    def enter(self):
        """Want it."""
        if not self.wanted:
            libraries = _libraries().select(user_api="blas").lib_controllers
            # where BLAS has the threads of OpenMP a limit is one of the thread that asks
            shared = [library for library in libraries if getattr(library, "threading_layer", None) != "openmp"]
            self._before = [(library, library.num_threads) for library in shared]
            for library, _ in self._before:
                library.set_num_threads(1)
        self.wanted += 1

    def leave(self):
        """Want it no longer."""
        self.wanted -= 1
        if self.wanted:
            return
        for library, threads in self._before:
            if library.num_threads == 1:  # unless somebody else has set it meanwhile
                library.set_num_threads(threads)
        self._release(force=False)

    def forget(self):
        """In a forked child, where those who wanted it are not."""
        if self.wanted:
            self._release(force=True)
            self.wanted = 1
            self.leave()

    def _release(self, force):
        # of newer versions of threadpoolctl: where other threads' limits have no effect until this one is done
        for library, _ in self._before:
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=force)


_BLAS = _BlasLimit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_BLAS.forget)


def one_blas_thread():
    """A context in which BLAS has one thread: after a product the others spin for a while, where ours could run.

    BLAS has it for the whole process. Fits that overlap share it, and the last one gives back what was there before the
    first.
    """
    return Hold(_BLAS.enter, _BLAS.leave)


def in_threads(work, n, block, n_jobs):
    """Results of work(first, last) over 0..n-1, shared out in whole blocks among as many threads as n_jobs says.

    The C code releases the interpreter's lock.
    """
    blocks = -(-n // block)
    threads = min(threads_of(n_jobs), blocks, MOST_THREADS) if blocks > 1 else 1
    if threads <= 1:
        return [work(0, n)]
    bounds = [min(n, blocks * k // threads * block) for k in range(threads + 1)]
    return run_team(threads, lambda member: work(bounds[member], bounds[member + 1]))


def lapack(function, *arguments, **settings):
    """function(*arguments, **settings), of LAPACK, which cannot be interrupted.

    An interrupt does not wait for it where the first argument is large: the work goes on in a thread, in vain.
    """
    if max(arguments[0].shape) < LARGE_SIDE:
        return function(*arguments, **settings)
    return run_abandonable(lambda: function(*arguments, **settings))

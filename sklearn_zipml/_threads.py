"""Work shared out among threads."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from threading import Thread, current_thread, main_thread

from joblib import cpu_count, effective_n_jobs
from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController


def threads_of(n_jobs):
    """Threads that n_jobs allows here.

    None is what a `joblib.parallel_config` says. Without one it is as many as the compiled loops of scikit-learn itself
    take, those of OpenMP: `threadpoolctl.threadpool_limits`, OMP_NUM_THREADS and joblib, which leaves every worker
    process its share of the processors, bound them; in a thread of another `Parallel` it is one. Numbers are joblib's,
    and bound by that share too.
    """
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
def _openmp():
    """The OpenMP libraries of this process; scikit-learn brings one along wherever it was built with OpenMP."""
    return ThreadpoolController().select(user_api="openmp").lib_controllers


def _openmp_threads():
    return max(1, min([cpu_count(), *(library.num_threads for library in _openmp())]))


def in_threads(work, n, block, n_jobs):
    """Results of work(first, last) over 0..n-1, shared out in whole blocks among as many threads as n_jobs says.

    The C code releases the interpreter's lock.
    """
    blocks = -(-n // block)
    threads = min(threads_of(n_jobs), blocks) if blocks > 1 else 1
    if threads <= 1:
        return [work(0, n)]
    bounds = [min(n, blocks * k // threads * block) for k in range(threads + 1)]
    # not joblib.Parallel, which takes tens of milliseconds to start threads and to notice that they are done
    (first, last), *others = pairwise(bounds)
    with ThreadPoolExecutor(threads - 1) as pool:
        running = [pool.submit(work, *pair) for pair in others]
        return [work(first, last), *(one.result() for one in running)]


def run_team(size, work, stop):
    """Results of work(member) of `size` members that wait for each other, so that each has a thread of its own.

    The calling thread is member 0. stop() makes all members return; it is called if one raises, and then this does.
    """
    results, errors = [None] * size, []

    def keep(member):
        try:
            results[member] = work(member)
        except BaseException as error:  # of a thread, it would be printed and the others would wait for ever
            errors.append(error)
            stop()

    threads = [Thread(target=keep, args=(member,), daemon=True) for member in range(1, size)]
    started = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
        keep(0)
    except BaseException:
        stop()
        raise
    finally:
        for thread in started:
            thread.join()
    if errors:
        raise errors[0]
    return results

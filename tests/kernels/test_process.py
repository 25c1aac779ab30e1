"""What belongs to the process while teams work: the threads of BLAS."""

import os
import threading

import numpy as np
import pytest
from interrupts import Interrupt, interrupt_after, needs_timers
from joblib import effective_n_jobs
from sklearn_zipml._kernels.workers import Hold
from threadpoolctl import ThreadpoolController

from sklearn_zipml import PackedMatrix, ZipMLRegressor
from sklearn_zipml._kernels import workers
from sklearn_zipml._kernels.threads import one_blas_thread, run_team


def blas_threads():
    """Of every BLAS library."""
    return [library.num_threads for library in ThreadpoolController().select(user_api="blas").lib_controllers]


@pytest.fixture
def several_blas_threads():
    """More than one, whatever this machine has."""
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    before = [library.num_threads for library in libraries]
    yield from _with_threads(libraries, 3)
    _set_threads(libraries, before)


def _with_threads(libraries, number):
    _set_threads(libraries, [number] * len(libraries))
    threads = blas_threads()
    if not threads or set(threads) == {1}:
        pytest.skip("BLAS has no threads here")
    yield threads


def _set_threads(libraries, numbers):
    """Set them, without staying the thread that may."""
    for library, number in zip(libraries, numbers, strict=True):
        library.set_num_threads(number)
        getattr(library, "clear_controlling_thread", lambda: None)()


def test_overlapping_limits_of_blas(several_blas_threads):
    """The last one gives back what was there before the first, in whatever order they come and go."""
    one, two = one_blas_thread(), one_blas_thread()
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    assert set(blas_threads()) == {1}
    two.__exit__(None, None, None)
    assert blas_threads() == several_blas_threads


def test_a_limit_that_somebody_else_sets(several_blas_threads):
    """Stays, where threadpoolctl lets it be set while another thread has set one."""
    with one_blas_thread():
        for library in ThreadpoolController().select(user_api="blas").lib_controllers:
            library.set_num_threads(2)
        meanwhile = blas_threads()
    assert blas_threads() == (several_blas_threads if set(meanwhile) == {1} else [2] * len(meanwhile))


def test_limits_of_others_around_and_inside(several_blas_threads):
    """Their ends find what was there before them."""
    with ThreadpoolController().limit(limits=1, user_api="blas"):
        with one_blas_thread():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {1}
    assert blas_threads() == several_blas_threads


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_is_forked_amid_a_fit(several_blas_threads):
    """Has no limit that nobody would take back."""
    with one_blas_thread():
        child = os.fork()
        if child == 0:
            os._exit(blas_threads() != several_blas_threads)
        assert os.waitpid(child, 0)[1] == 0
    assert blas_threads() == several_blas_threads


def test_concurrent_fits_leave_blas_as_it_was(several_blas_threads):
    """Their limits overlap in any way."""
    X = np.random.default_rng(0).standard_normal((1000, 60), dtype=np.float32)
    packed = PackedMatrix.from_chunks(X, X[:, 0], random_state=0)

    def fit(seed):
        for _ in range(5):
            ZipMLRegressor(4, solver="saga", n_jobs=2, random_state=seed, max_iter=2, tol=0).fit(packed)

    threads = [threading.Thread(target=fit, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blas_threads() == several_blas_threads


@needs_timers
def test_interrupted_limits_of_blas(several_blas_threads):
    """Before, inside or behind the body of the context."""
    for moment in np.random.default_rng(0).uniform(1e-6, 1e-3, 300):
        try:
            with interrupt_after(moment), one_blas_thread():
                pass
        except Interrupt:
            pass
        assert blas_threads() == several_blas_threads


def test_a_hold_gives_back_what_it_took():
    """Once, also without a body, and if taking fails."""
    events = []
    hold = Hold(lambda: events.append("take"), lambda: events.append("give"))
    with pytest.raises(KeyError), hold:
        raise KeyError
    hold.__exit__(None, None, None)
    assert events == ["take", "give"]
    hold = Hold(lambda: events.append("take"), lambda: events.append("give"))
    hold.__enter__()
    del hold
    assert events == ["take", "give"] * 2
    with pytest.raises(ZeroDivisionError), Hold(lambda: 1 / 0, lambda: events.append("give")):
        pass
    assert events == ["take", "give"] * 2


def test_no_more_threads_than_asked_for():
    """Idle ones are taken first."""
    for _ in range(20):
        run_team(3, lambda member: None)
    idle = len(workers._idle)
    for _ in range(20):
        run_team(3, lambda member: None)
    assert len(workers._idle) == idle >= 2
    assert effective_n_jobs(2) == 2

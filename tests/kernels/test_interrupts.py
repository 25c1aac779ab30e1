"""Interrupts, threads that cannot be had, and what of the process is left as it was."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from interrupts import Interrupt, interrupt_after, needs_timers
from sklearn_zipml._kernels.workers import poll, run_apart, run_lockstep

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor
from sklearn_zipml._kernels import workers
from sklearn_zipml._kernels.threads import in_threads, lapack, one_blas_thread, run_team
from sklearn_zipml._quantization import encoder


def processor_time_asleep():
    """Seconds that threads burn while this one sleeps for a fifth of one."""
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.2)
    return time.process_time() - before


def busy(member):
    """Work of 20 seconds that polls."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        poll()
        time.sleep(0.001)


@needs_timers
@pytest.mark.parametrize("first", [busy, lambda member: None], ids=["working", "waiting"])
def test_all_members_leave(first):
    """Whether the caller is at its own part or waits for the others."""
    start = time.monotonic()
    with pytest.raises(Interrupt), interrupt_after(0.2):
        run_team(3, lambda member: busy(member) if member else first(member))
    assert time.monotonic() - start < 2
    assert processor_time_asleep() < 0.1
    assert run_team(3, lambda member: member) == [0, 1, 2]


@needs_timers
def test_interrupts_at_any_moment():
    """In starting, working, waiting: no lock stays taken, no thread goes on, and the next work is done."""
    rng, interrupted = np.random.default_rng(0), 0
    run_team(2, lambda member: None)
    for moment in rng.uniform(1e-6, 4e-4, 1500):
        try:
            with interrupt_after(moment):
                for _ in range(5):
                    assert in_threads(lambda first, last: last - first, 100, 10, 2) == [50, 50]
                    assert run_lockstep(2, lambda size: None, lambda member: member, lambda: None) == [0, 1]
        except Interrupt:
            interrupted += 1
    assert interrupted > 300
    assert in_threads(lambda first, last: last - first, 100, 10, 2) == [50, 50]
    assert processor_time_asleep() < 0.1


@needs_timers
def test_fits_interrupted_at_any_moment():
    """In packing, in epochs of teams, in products: the next fit is as if nothing had been."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 1100), dtype=np.float32)
    model = ZipMLRegressor(4, n_jobs=2, random_state=0, solver="saga", max_iter=4, tol=0)
    expected = model.fit(X, X[:, 0]).coef_.copy()
    start, before = time.monotonic(), vars(model).copy()
    model.fit(X, X[:, 0])
    seconds = time.monotonic() - start
    for moment in rng.uniform(0, seconds, 25):
        try:
            with interrupt_after(max(1e-6, moment)):
                begin = time.monotonic()
                model.fit(X, X[:, 0])
        except Interrupt:
            assert time.monotonic() - begin - moment < 1
        assert vars(model).keys() == before.keys()
        np.testing.assert_array_equal(model.coef_, expected)
    assert processor_time_asleep() < 0.1
    np.testing.assert_array_equal(model.fit(X, X[:, 0]).coef_, expected)


@needs_timers
def test_packing_does_not_wait_for_the_other_threads(monkeypatch):
    """Which may have a share of minutes, of a cold file, before them."""
    X = np.zeros((64 * 400, 8), dtype=np.float32)
    read = encoder.row_block

    def slowly(*args):
        time.sleep(0.05)
        return read(*args)

    monkeypatch.setattr(encoder, "row_block", slowly)
    monkeypatch.setattr(encoder, "block_rows", lambda *_: 64)
    quantizer = DoubleSamplingQuantizer(n_jobs=2, random_state=0)
    start = time.monotonic()
    with pytest.raises(Interrupt), interrupt_after(0.5):
        quantizer.fit_transform(X)
    assert time.monotonic() - start < 1.5
    assert not hasattr(quantizer, "levels_")


def test_an_error_stops_the_others():
    """Soon, not when they are done."""
    start = time.monotonic()

    def work(member):
        if member == 1:
            raise KeyError(member)
        busy(member)

    with pytest.raises(KeyError):
        run_team(3, work)
    assert time.monotonic() - start < 2


# Threads that cannot be had


class NoThreads:
    """A system at its limit."""

    allocate_lock = staticmethod(threading.Lock)

    @staticmethod
    def start_new_thread(*_):
        raise RuntimeError("can't start new thread")


@pytest.fixture
def no_threads(monkeypatch):
    """Nor idle ones."""
    monkeypatch.setattr(workers, "_idle", type(workers._idle)())
    monkeypatch.setattr(workers, "_keepers", type(workers._keepers)())
    monkeypatch.setattr(workers, "_thread", NoThreads)


def test_without_threads_the_calling_one_does_it(no_threads):
    """All of it, in order."""
    assert run_team(4, lambda member: (member, threading.get_ident())) == [
        (member, threading.get_ident()) for member in range(4)
    ]
    sizes = []
    assert run_lockstep(4, sizes.append, lambda member: member, lambda: None) == [0]
    assert sizes == [1]
    assert not run_apart(lambda: None)
    with one_blas_thread():
        pass
    ranges = in_threads(lambda first, last: range(first, last), 100, 7, 3)
    assert [i for one in ranges for i in one] == list(range(100))


def test_an_error_without_threads(no_threads):
    """Ends the rest."""
    done = []

    def work(member):
        done.append(member)
        if member == 1:
            raise KeyError(member)

    with pytest.raises(KeyError):
        run_team(4, work)
    assert done == [0, 1]


def test_fits_without_threads(no_threads):
    """Are those with threads."""
    X = np.random.default_rng(0).standard_normal((3000, 1100), dtype=np.float32)
    settings = {"random_state": 0, "solver": "saga", "max_iter": 3, "tol": 0}
    coefs = [ZipMLRegressor(4, n_jobs=n_jobs, **settings).fit(X, X[:, 0]).coef_ for n_jobs in (1, 3)]
    np.testing.assert_array_equal(*coefs)


LATE = """
import threading
import numpy as np
from sklearn_zipml import PackedMatrix, ZipMLRegressor
X = np.random.default_rng(0).standard_normal((3000, 1100), dtype=np.float32)
def late():
    threading.main_thread().join()
    packed = PackedMatrix.from_chunks(X, X[:, 0], random_state=0, n_jobs=3)
    model = ZipMLRegressor(4, n_jobs=3, solver="saga", max_iter=2, tol=0, random_state=0).fit(packed)
    print(model.n_iter_, flush=True)
threading.Thread(target=late).start()
"""


def test_after_the_main_thread():
    """Work goes on in threads that outlive it."""
    run = subprocess.run([sys.executable, "-P", "-c", LATE], capture_output=True, text=True, timeout=100)
    assert (run.returncode, run.stdout, run.stderr) == (0, "2\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own():
    """Those of its parent are not there."""
    run_team(3, lambda member: None)
    child = os.fork()
    if child == 0:
        os._exit(run_team(3, lambda member: member) != [0, 1, 2])
    assert os.waitpid(child, 0)[1] == 0


AT_THE_END = """
import numpy as np
from sklearn_zipml._kernels.threads import run_team
from sklearn_zipml._kernels.workers import Hold

class Late:
    def __del__(self):
        print(run_team(3, lambda member: member), flush=True)

run_team(3, lambda member: None)
hold = Hold(lambda: None, lambda: print("given back", flush=True))
hold.__enter__()
late = Late()
import sys
sys.modules["late"] = late  # which go last
sys.modules["hold"] = hold
"""


def test_at_the_end_of_the_interpreter():
    """Threads no longer run, and are not waited for."""
    run = subprocess.run([sys.executable, "-P", "-c", AT_THE_END], capture_output=True, text=True, timeout=100)
    assert run.returncode == 0
    assert "given back" in run.stdout and "[0, 1, 2]" in run.stdout


@needs_timers
def test_lapack_is_not_waited_for():
    """It cannot be interrupted, and may take minutes."""
    large = np.zeros((1, 2000))
    assert lapack(lambda matrix, scale: scale * matrix.shape[1], large, scale=2) == 4000
    assert lapack(lambda matrix: threading.get_ident(), np.zeros((2, 2))) == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        lapack(lambda matrix: 1 / 0, large)
    begin = time.monotonic()
    with pytest.raises(Interrupt), interrupt_after(0.2):
        lapack(lambda matrix: time.sleep(3), large)
    assert time.monotonic() - begin < 1

"""How many threads there are, and that work shared out among them is done once."""

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from sklearn.utils._param_validation import InvalidParameterError
from threadpoolctl import ThreadpoolController, threadpool_limits

from sklearn_zipml import PackedMatrix, ZipMLRegressor
from sklearn_zipml._kernels import threads as threads_module
from sklearn_zipml._kernels.threads import in_threads, one_blas_thread, run_team, threads_of


@pytest.fixture
def four_processors(monkeypatch):
    """Four processors, all for OpenMP."""
    monkeypatch.setattr(threads_module, "cpu_count", lambda: 4)
    monkeypatch.setattr(threads_module, "_libraries", lambda: ThreadpoolController().select(user_api="none"))


def test_none_is_what_openmp_takes(four_processors):
    """But what a joblib configuration says, where there is one; numbers are numbers."""
    assert threads_of(None) == 4
    assert [threads_of(k) for k in (1, 2, 3)] == [1, 2, 3]
    for n_jobs in (1, 3):
        with parallel_config(n_jobs=n_jobs):
            assert threads_of(None) == n_jobs


def test_limits_of_thread_pools():
    """threadpool_limits bounds None, wherever scikit-learn was built with OpenMP."""
    if not ThreadpoolController().select(user_api="openmp"):
        pytest.skip("no OpenMP library is loaded")
    with threadpool_limits(1):
        assert threads_of(None) == 1


def test_workers_do_not_take_more_than_their_share():
    """Threads of another Parallel take one; its processes what joblib leaves them."""
    inside = delayed(threads_of)
    assert Parallel(n_jobs=2, backend="threading")(inside(None) for _ in range(4)) == [1] * 4
    with parallel_config("loky", inner_max_num_threads=1):
        assert Parallel(n_jobs=2)(inside(n_jobs) for n_jobs in (None, 2, -1)) == [1] * 3


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
@pytest.mark.parametrize(("n", "block"), [(0, 4), (3, 4), (17, 4), (64, 1)])
def test_all_is_done_once(n, block, n_jobs):
    """In whole blocks, in order."""
    ranges = in_threads(lambda first, last: range(first, last), n, block, n_jobs)
    assert [i for one in ranges for i in one] == list(range(n))
    assert all(one.start % block == 0 for one in ranges) and len(ranges) <= n_jobs


def test_no_threads_inside_threads(four_processors):
    """A member of a team has one."""
    assert in_threads(lambda first, last: threads_of(4), 4, 1, 4) == [4, 1, 1, 1]


def test_errors_end_the_team():
    """A member's error is raised after the others were stopped."""
    stopped = []

    def work(member):
        if member == 1:
            raise KeyError(member)
        return member

    with pytest.raises(KeyError):
        run_team(3, work, lambda: stopped.append(True))
    assert stopped
    np.testing.assert_array_equal(run_team(3, lambda member: member, lambda: None), [0, 1, 2])


def test_one_blas_thread():
    """Inside, and as many as before behind it."""

    def threads():
        return [library.num_threads for library in ThreadpoolController().select(user_api="blas").lib_controllers]

    before = threads()
    with one_blas_thread():
        assert set(threads()) <= {1}
    assert threads() == before


@pytest.mark.parametrize("n_jobs", ["abc", 0, 1.5, [1]])
def test_bad_numbers_of_threads(tmp_path, n_jobs):
    X = np.random.default_rng(0).standard_normal((100, 3))
    path = tmp_path / "rows.zq"
    PackedMatrix.from_chunks(X, X[:, 0]).save(path)
    for attempt in (
        lambda: PackedMatrix.from_chunks(X, n_jobs=n_jobs),
        lambda: PackedMatrix.append(path, X, X[:, 0], n_jobs=n_jobs),
        lambda: ZipMLRegressor(n_jobs=n_jobs).fit(X, X[:, 0]),
    ):
        with pytest.raises(InvalidParameterError, match="'n_jobs' parameter of"):
            attempt()

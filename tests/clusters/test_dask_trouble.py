"""What goes wrong on clusters: fits at once, workers that die, interrupts, bad rows. Nothing is left behind."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from collections_of_rows import all_of, array_in, rows, slow_chunks
from dask import array as da
from dask import delayed
from scipy import sparse

from sklearn_zipml import ZipMLRegressor
from sklearn_zipml.dask import DaskZipMLLSSVC, DaskZipMLRegressor


def test_two_fits_at_once(client):
    """On one client, of the same collection and of different models."""
    X, y, weights = rows()
    dX, dy, dw = array_in(5, X, y, weights)
    found = {}

    def fit(alpha):
        found[alpha] = DaskZipMLRegressor(alpha=alpha, random_state=0, client=client).fit(dX, dy, sample_weight=dw)

    threads = [threading.Thread(target=fit, args=(alpha,)) for alpha in (0.1, 10.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for alpha in (0.1, 10.0):
        local = ZipMLRegressor(alpha=alpha, random_state=0).partial_fit(X, y, weights)
        np.testing.assert_array_equal(found[alpha].coef_, local.coef_)


@pytest.mark.parametrize(("solver", "after"), [("gram", 0.5), ("rounds", 1.5)])
def test_a_worker_is_killed(client, solver, after):
    """Its shards are made again from their source, and the result is the same."""
    X, y = slow_chunks(6, 0.2)
    killed = threading.Timer(after, lambda: os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL))
    killed.start()
    start = time.monotonic()
    model = DaskZipMLRegressor(client=client, solver=solver, random_state=0, tol=1e-9).fit(X, y)
    killed.join()
    assert time.monotonic() - start < 60
    rows, targets = all_of(6)
    if solver == "gram":
        np.testing.assert_array_equal(model.coef_, ZipMLRegressor(random_state=0).partial_fit(rows, targets).coef_)
    else:
        local = ZipMLRegressor(random_state=0).fit(rows, targets)
        assert model.score(rows, targets) > local.score(rows, targets) - 0.002
    client.wait_for_workers(2, timeout=60)


def test_interrupt(client):
    """An interrupt ends the fit at once; the model is as it was, and the fixture sees that nothing is left."""
    X, y = slow_chunks(20, 0.3)
    model = DaskZipMLRegressor(client=client)
    before = dict(vars(model))
    timer = threading.Timer(1, signal.raise_signal, [signal.SIGINT])
    # processes that a shell starts in its background ignore it
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, previous)
    assert time.monotonic() - start < 5
    assert vars(model) == before


def test_cancelled_data(client):
    """Rows that somebody cancels while they are used: one clear error."""
    X, y, _ = rows(600)
    future = client.scatter(X)
    client.cancel([future])
    with pytest.raises((RuntimeError, ValueError), match="cancelled"):
        DaskZipMLRegressor(client=client).fit([future], [delayed(y)])


def test_bad_rows(client):
    """The errors of the local estimators, from whatever worker."""
    X, y, weights = rows(600)
    X[500, 3] = np.nan
    dX, dy, dw = array_in(4, X, y, weights)
    with pytest.raises(ValueError, match="contains NaN"):
        DaskZipMLRegressor().fit(dX, dy)
    with pytest.raises(ValueError, match="contains NaN"):
        DaskZipMLRegressor().fit(dX[:400], dX[200:, 3])
    with pytest.raises(ValueError, match="Negative values"):
        DaskZipMLRegressor().fit(dX[:400], dy[:400], sample_weight=-1 - dw[:400])
    with pytest.raises(ValueError, match="all weights are zero"):
        DaskZipMLRegressor().fit(dX[:400], dy[:400], sample_weight=0 * dw[:400])
    with pytest.raises(ValueError, match="Unknown label type"):
        DaskZipMLLSSVC().fit(dX[:400], dy[:400, 0])
    with pytest.raises(TypeError, match="Sparse data was passed"):
        DaskZipMLRegressor().fit([delayed(sparse.csr_array(X[:400]))], [delayed(y[:400])])


def test_shapes_that_do_not_fit(client):
    """Errors name what is wrong, and what to do about it."""
    X, y, _ = rows(600)
    dX, dy = array_in(4, X, y)
    with pytest.raises(ValueError, match="requires y"):
        DaskZipMLRegressor().fit(dX)
    with pytest.raises(ValueError, match="y has 1 partitions, but X has 4"):
        DaskZipMLRegressor().fit(dX, [delayed(y)])
    with pytest.raises(ValueError, match="y has 500 rows, but X has 600"):
        DaskZipMLRegressor().fit(dX, y[:500])
    with pytest.raises(ValueError, match="Partition 1 has 300 rows of X, but 200 of y"):
        DaskZipMLRegressor().fit([delayed(X[:300])] * 2, [delayed(y[:300]), delayed(y[:200])])
    with pytest.raises(ValueError, match="different numbers of columns"):
        DaskZipMLRegressor().fit([delayed(X[:300]), delayed(X[:300, :3])], [delayed(y[:300])] * 2)
    with pytest.raises(ValueError, match="no rows in any partition"):
        DaskZipMLRegressor().fit(da.zeros((0, 3)), da.zeros(0))
    with pytest.raises(ValueError, match="expected 2 dimensions"):
        DaskZipMLRegressor().fit(dy[:, 0], dy)
    with pytest.raises(ValueError, match="model_bits"):
        DaskZipMLRegressor(model_bits=3).fit(dX, dy)
    with pytest.raises(ValueError, match="solver='gram' sends"):
        DaskZipMLRegressor(solver="gram").fit(da.zeros((4, 9000), chunks=(2, 9000)), da.arange(4, chunks=2))


def test_no_client():
    """None that is current, one that is none, and one that waits for nobody."""
    with pytest.raises(ValueError, match="no current Dask client"):
        DaskZipMLRegressor().fit([[1.0]], [1.0])
    with pytest.raises(ValueError, match=r"not a distributed\.Client"):
        DaskZipMLRegressor(client="tcp://127.0.0.1:8786").fit([[1.0]], [1.0])


def test_without_dask(monkeypatch):
    """The error names the extra."""
    import builtins
    import importlib
    import sys

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "distributed":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in [name for name in sys.modules if name.startswith("sklearn_zipml.dask")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"sklearn_zipml\[dask\]"):
        importlib.import_module("sklearn_zipml.dask")

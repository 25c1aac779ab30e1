"""Logistic regression on a real cluster: the local model of the same packed rows, whatever the partitions."""

import os
import pickle
import signal
import threading
import time

import numpy as np
import pytest
from collections_of_rows import array_in, pieces, rows
from dask import array as da
from dask import delayed
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLLogisticRegression
from sklearn_zipml.dask import DaskPackedMatrix, DaskZipMLLogisticRegression

EXACT = {"C": 0.1, "tol": 1e-6, "random_state": 0}


def labelled(n_classes=2, n=3000):
    """Rows with string labels that they tell of, sorted, and weights, some of which are zero."""
    X, y, weights = rows(n)
    score = y[:, 0] + 3 * np.random.default_rng(1).standard_normal(n)
    labels = np.array(list("abcdef"))[np.digitize(score, np.quantile(score, np.arange(1, n_classes) / n_classes))]
    order = np.argsort(labels, kind="stable")
    return X[order], labels[order], weights[order]


def assert_same(model, local, rtol=1e-6):
    """Coefficients and probabilities but for the rounding of sums."""
    assert_array_equal(model.classes_, local.classes_)
    assert model.coef_.shape == local.coef_.shape
    assert model.coef_.dtype == local.coef_.dtype
    size = np.abs(local.coef_).max()
    assert_allclose(model.coef_, local.coef_, rtol=rtol, atol=rtol * size / 10)
    assert_allclose(model.intercept_, local.intercept_, rtol=rtol, atol=10 * rtol * size)


@pytest.mark.parametrize(
    ("parts", "n_classes", "settings"),
    [
        (1, 2, {}),
        (5, 3, {"sample_bits": 2, "class_weight": {"a": 3.0}}),
        (12, 2, {"fit_intercept": False, "class_weight": "balanced"}),
    ],
)
def test_any_partitions_are_the_local_fit(client, parts, n_classes, settings):
    """With weights, a label or two in a partition, and partitions of no rows; on the levels that sketches find."""
    X, y, weights = labelled(n_classes)
    bits = settings.get("sample_bits", 4)
    dX, dy, dw = array_in(parts, X, y, weights)
    model = DaskZipMLLogisticRegression(**EXACT, **settings, solver="newton", client=client)
    model.fit(dX, dy, sample_weight=dw)
    local = ZipMLLogisticRegression(**EXACT, **settings).fit(X, y, weights)
    assert_same(model, local)
    assert (model.sample_bits_, model.n_features_in_) == (bits, 7)
    assert abs(model.n_iter_ - local.n_iter_) <= 1
    assert_allclose(model.loss_curve_[-1], local.loss_curve_[-1], rtol=1e-8)
    assert model.score(dX, dy) == pytest.approx(local.score(X, y), abs=1e-3)
    assert model.bytes_sent_ == 2 * model.float32_bytes_ > 0
    assert model.sample_nbytes_ > 0
    assert len(model.bytes_read_curve_) == len(model.loss_curve_)


def test_any_order_of_partitions(client):
    """On given levels, without weights: the local fit of these rows in that order."""
    X, y, _ = labelled(3)
    quantizer = DoubleSamplingQuantizer(4, random_state=1).fit(X)
    order = np.concatenate([np.arange(600 * k, 600 * k + 600) for k in np.random.default_rng(0).permutation(5)])
    dX, dy = (pieces(array, (600,) * 5) for array in (X[order], y[order]))
    model = DaskZipMLLogisticRegression(**EXACT, quantizer=quantizer, solver="newton").fit(dX, dy)
    assert_same(model, ZipMLLogisticRegression(**EXACT).fit(quantizer.quantize(X[order]), y[order]))


def test_optimum_of_decoded_rows(client):
    """Where no rounding is compensated it is that of LogisticRegression on what the codes stand for."""
    X, y, weights = labelled(3)
    settings = {"sampling": "nearest", "outliers": "none"}
    quantizer = DoubleSamplingQuantizer(8, **settings, random_state=0).fit(X)
    model = DaskZipMLLogisticRegression(8, **{**EXACT, "tol": 1e-8}, quantizer=quantizer, solver="newton")
    dX, dy, dw = array_in(4, X, y, weights + 0.1)
    model.fit(dX, dy, sample_weight=dw)
    decoded = np.asarray(quantizer.quantize(X), dtype=np.float64)
    plain = LogisticRegression(C=0.1, solver="newton-cholesky", tol=1e-12, max_iter=500)
    plain.fit(decoded, y, weights + 0.1)

    def objective(one):
        loss = log_loss(y, one.predict_proba(decoded), sample_weight=weights + 0.1, normalize=False)
        return (one.coef_**2).sum() / 2 + 0.1 * loss

    assert objective(model) <= objective(plain) * (1 + 1e-7)
    assert_allclose(model.predict_proba(decoded), plain.predict_proba(decoded), atol=1e-4)


def test_lazy_predictions(client):
    """Of arrays, frames and chunks, computed when they are asked for: those of the local estimator."""
    X, y, _ = labelled(3, 600)
    dX, dy = array_in(4, X.astype(np.float32), y)
    model = DaskZipMLLogisticRegression(C=0.1, random_state=0).fit(dX, dy)
    local = model.to_local()
    assert type(local) is ZipMLLogisticRegression
    assert local.get_params()["C"] == 0.1
    assert local.to_sklearn().score(X, y) == local.score(X, y)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        found = getattr(model, method)(dX)
        assert isinstance(found, da.Array)
        expected = getattr(local, method)(X)
        assert found.shape == expected.shape
        assert_array_equal(found.compute(), getattr(local, method)(X.astype(np.float32)))
        (chunk,) = getattr(model, method)([delayed(X)])
        assert_array_equal(chunk.compute(), expected)
        assert_array_equal(getattr(model, method)(X), expected)


def test_frames(client):
    """Names are kept and checked; probabilities are a frame with the index of the rows."""
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    X, y, weights = labelled(2, 600)
    frame = pd.DataFrame(X, columns=list("abcdefg")).assign(label=y, weight=weights)
    parts = dd.from_pandas(frame, npartitions=3)
    features = parts[list("abcdefg")]
    model = DaskZipMLLogisticRegression(**EXACT).fit(features, parts["label"], sample_weight=parts["weight"])
    assert_same(model, ZipMLLogisticRegression(**EXACT).fit(frame[list("abcdefg")], y, weights))
    assert model.feature_names_in_.tolist() == list("abcdefg")
    found = model.predict_proba(features)
    assert isinstance(found, dd.DataFrame)
    found = found.compute()
    assert_array_equal(found, model.to_local().predict_proba(frame[list("abcdefg")]))
    assert found.index.equals(frame.index)
    with pytest.raises(ValueError, match="feature names"):
        model.predict_proba(parts[list("gfedcba")]).compute()


def test_shards_and_files(client, tmp_path):
    """Shards that were packed once are trained on again, from memory and from files."""
    X, y, weights = labelled()
    dX, dy, dw = array_in(4, X, y, weights)
    packed = DaskPackedMatrix.pack(dX, dy, dw, random_state=0)
    local = ZipMLLogisticRegression(**EXACT).fit(X, y, weights)
    assert_same(DaskZipMLLogisticRegression(**EXACT).fit(packed), local)
    packed.save(tmp_path / "shards")
    packed.release()
    loaded = DaskPackedMatrix.load(tmp_path / "shards")
    assert_same(DaskZipMLLogisticRegression(**EXACT).fit(loaded), local)
    with pytest.raises(ValueError, match="packed in 4 bits"):
        DaskZipMLLogisticRegression(8).fit(loaded)
    loaded.release()


def test_an_estimator_of_scikit_learn(client):
    """It pickles without its client, clones with it, and is searched."""
    X, y, _ = labelled(2, 600)
    model = DaskZipMLLogisticRegression(C=0.1, random_state=0, client=client).fit(*array_in(2, X, y))
    restored = pickle.loads(pickle.dumps(model))
    assert restored.client is None
    assert_array_equal(restored.predict_proba(X), model.predict_proba(X))
    assert clone(model).client is client
    search = GridSearchCV(DaskZipMLLogisticRegression(random_state=0, client=client), {"C": [1e-6, 1.0]}, cv=2)
    assert search.fit(X, y).best_params_ == {"C": 1.0}


def test_many_columns(client):
    """Of which no second moments are sent."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 2100))
    y = X[:, :5].sum(axis=1) > 0
    settings = {"C": 0.01, "tol": 1e-6, "random_state": 0}
    model = DaskZipMLLogisticRegression(**settings, solver="newton").fit(*array_in(3, X, y))
    local = ZipMLLogisticRegression(**settings).fit(X, y)
    assert_same(model, local, 1e-4)
    assert model.float32_bytes_ < 4 * 2100**2
    in_rounds = DaskZipMLLogisticRegression(**settings, model_bits=4, gradient_bits=4, max_iter=300)
    in_rounds.fit(*array_in(3, X, y))
    assert (model.solver_, in_rounds.solver_) == ("newton", "rounds")
    assert in_rounds.bytes_sent_ <= in_rounds.float32_bytes_ / 8
    assert_allclose(in_rounds.predict_proba(X), local.predict_proba(X), atol=0.02)


@pytest.mark.parametrize(
    ("bits", "parts", "n_classes", "settings"), [(8, 1, 3, {}), (4, 6, 2, {"class_weight": "balanced"})]
)
def test_rounds_are_nearly_the_local_fit(client, bits, parts, n_classes, settings):
    """With weights, a label or two in a partition, and partitions of no rows; messages of few bits."""
    X, y, weights = labelled(n_classes)
    settings = {"C": 0.1, "random_state": 0, **settings}
    dX, dy, dw = array_in(parts, X, y, weights)
    model = DaskZipMLLogisticRegression(
        **settings, solver="rounds", model_bits=bits, gradient_bits=bits, max_iter=300, client=client
    ).fit(dX, dy, sample_weight=dw)
    local = ZipMLLogisticRegression(**settings).fit(X, y, weights)
    bar = 0.002 if bits == 8 else 0.01

    def loss(one):
        return log_loss(y, one.predict_proba(X), sample_weight=weights)

    assert loss(model) <= loss(local) + bar
    assert model.to_local().score(X, y, weights) >= local.score(X, y, weights) - bar
    assert model.solver_ == "rounds"
    assert 0 < model.bytes_sent_ < model.float32_bytes_
    assert len(model.bytes_read_curve_) == len(model.loss_curve_)
    assert np.all(np.diff(model.loss_curve_) < 0)


def test_what_is_told(client):
    """A warning as the local one, and clear errors; a fit that fails leaves the model as it was."""
    X, y, _ = labelled(2, 600)
    dX, dy = array_in(3, X, y)
    model = DaskZipMLLogisticRegression(tol=1e-9, max_iter=1, random_state=0)
    with pytest.warns(ConvergenceWarning, match="DaskZipMLLogisticRegression did not converge.*max_iter"):
        model.fit(dX, dy)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="at least 2 classes in y, but the data contains only one class: 'a'"):
        model.fit(dX[:200], dy[:200])
    with pytest.raises(ValueError, match="a weight of 0 leaves rows out"):
        clone(model).set_params(class_weight={"a": 0}).fit(dX, dy)
    with pytest.raises(ValueError, match="Unknown label type"):
        model.fit(dX, dX[:, 0])
    with pytest.raises(ValueError, match="'C' parameter"):
        clone(model).set_params(C=0).fit(dX, dy)
    with pytest.raises(ValueError, match="'sample_bits' parameter"):
        clone(model).set_params(sample_bits=None).fit(dX, dy)
    with pytest.raises(ValueError, match="model_bits=None and gradient_bits=8: give both"):
        clone(model).set_params(model_bits=None).fit(dX, dy)
    with pytest.raises(ValueError, match="solver='rounds' exchanges a few bits, but model_bits=None"):
        clone(model).set_params(model_bits=None, gradient_bits=None, solver="rounds").fit(dX, dy)
    in_rounds = clone(model).set_params(solver="rounds", max_iter=2)
    with pytest.warns(ConvergenceWarning, match="did not converge.*max_iter, model_bits and gradient_bits"):
        in_rounds.fit(dX, dy)
    assert vars(model) == before


@pytest.mark.parametrize("solver", ["newton", "rounds"])
def test_a_worker_is_killed(client, solver):
    """In the midst of the steps; what it held is made again from its source, and the result is the same."""
    X, y, _ = labelled(3)
    chunks = [slice(start, start + 500) for start in range(0, 3000, 500)]
    dX, dy = [delayed(X[some]) for some in chunks], [delayed(y[some]) for some in chunks]
    packed = DaskPackedMatrix.pack(dX, dy, client=client, random_state=0)
    victim = next(iter(client.run(os.getpid).values()))
    killed = threading.Timer(0.3, os.kill, (victim, signal.SIGKILL))
    killed.start()
    start = time.monotonic()
    model = DaskZipMLLogisticRegression(**EXACT, solver=solver).fit(packed)
    killed.join()
    assert time.monotonic() - start < 60
    local = ZipMLLogisticRegression(**EXACT).fit(X, y)
    if solver == "newton":
        assert_same(model, local)
    else:
        assert log_loss(y, model.predict_proba(X)) == pytest.approx(log_loss(y, local.predict_proba(X)), abs=0.002)
    packed.release()
    client.wait_for_workers(2, timeout=60)


def test_an_interrupt_in_rounds(client):
    """It ends the fit; the model is as it was, and the fixture sees that nothing is left."""
    X, y, _ = labelled(3)
    packed = DaskPackedMatrix.pack(*array_in(4, X, y), client=client, random_state=0)
    model = DaskZipMLLogisticRegression(tol=1e-9, max_iter=10_000, solver="rounds", model_bits=4, gradient_bits=4)
    before = dict(vars(model))
    timer = threading.Timer(1, signal.raise_signal, [signal.SIGINT])
    # processes that a shell starts in its background ignore it
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            model.fit(packed)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, previous)
    assert vars(model) == before
    packed.release()


@pytest.mark.parametrize(("solver", "tol"), [("newton", 1e-6), ("rounds", 1e-3)])
def test_two_fits_at_once(client, solver, tol):
    """On one client, of the same shards and of different models."""
    X, y, _ = labelled(2, 1000)
    packed = DaskPackedMatrix.pack(*array_in(4, X, y), client=client, random_state=0)
    found = {}

    def fit(C):
        found[C] = DaskZipMLLogisticRegression(**{**EXACT, "C": C, "tol": tol}, solver=solver).fit(packed)

    threads = [threading.Thread(target=fit, args=(C,)) for C in (0.01, 10.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for C in (0.01, 10.0):
        local = ZipMLLogisticRegression(**{**EXACT, "C": C}).fit(X, y)
        if solver == "newton":
            assert_same(found[C], local)
        else:
            assert_allclose(found[C].predict_proba(X), local.predict_proba(X), atol=0.03)
    packed.release()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_an_l1_penalty(client, n_classes):
    """The local fit of the same rows, with its zeros, of any partitions; refused in rounds, and by name of too much."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2400, 30))
    y = (2 * X[:, :4] @ rng.standard_normal((4, n_classes)) + rng.gumbel(size=(2400, n_classes))).argmax(axis=1)
    order = np.argsort(y, kind="stable")
    X, y = X[order], y[order]
    quantizer = DoubleSamplingQuantizer(4, random_state=1).fit(X)
    settings = {"C": 0.02, "l1_ratio": 0.8, "tol": 1e-8}
    local = ZipMLLogisticRegression(**settings).fit(quantizer.quantize(X), y)
    dX, dy = array_in(5, X, y)
    model = DaskZipMLLogisticRegression(quantizer=quantizer, **settings).fit(dX, dy)
    assert model.solver_ == "newton" and 0 < (model.coef_ == 0).sum() < model.coef_.size
    np.testing.assert_array_equal(model.coef_ == 0, local.coef_ == 0)
    np.testing.assert_allclose(model.coef_, local.coef_, rtol=1e-3, atol=1e-4 * np.abs(local.coef_).max())
    assert model.to_local().l1_ratio == 0.8
    with pytest.raises(ValueError, match=r"l1_ratio=0.8 takes steps with second moments, and solver='rounds' has none"):
        model.set_params(solver="rounds").fit(dX, dy)
    with pytest.raises(ValueError, match="'l1_ratio' parameter of DaskZipMLLogisticRegression"):
        model.set_params(l1_ratio=2.0).fit(dX, dy)

"""The Dask estimators on a real cluster: the local model from any partitions, kinds of input, shards in files."""

import pickle
import re

import numpy as np
import pytest
from collections_of_rows import array_in, pieces, rows
from dask import array as da
from dask import bag, delayed
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_class_weight

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml.dask import DaskPackedMatrix, DaskZipMLLSSVC, DaskZipMLRegressor


def same(model, local):
    """Whether two models are equal to the bit."""
    return np.array_equal(model.coef_, local.coef_) and np.array_equal(model.intercept_, local.intercept_)


@pytest.mark.parametrize(("parts", "settings"), [(1, {}), (2, {}), (7, {"sample_bits": 2, "fit_intercept": False})])
def test_any_partitions_are_the_local_fit(client, parts, settings):
    """To the bit, with weights, two targets, rows in the order of one of them, and partitions of no rows."""
    X, y, weights = rows()
    order = np.argsort(y[:, 0])
    X, y, weights = X[order], y[order], weights[order]
    local = ZipMLRegressor(random_state=0, **settings).partial_fit(X, y, weights)
    dX, dy, dw = array_in(parts, X, y, weights)
    model = DaskZipMLRegressor(random_state=0, client=client, **settings).fit(dX, dy, sample_weight=dw)
    assert same(model, local)
    assert (model.solver_, model.n_iter_, model.sample_bits_) == ("gram", 1, local.sample_bits_)
    assert model.bytes_sent_ > 0


def test_any_order_of_partitions(client):
    """On given levels: the same bits again."""
    X, y, _ = rows()
    quantizer = DoubleSamplingQuantizer(4, random_state=1).fit(X)
    local = ZipMLRegressor().partial_fit(quantizer.quantize(X), y[:, 0])
    starts = np.random.default_rng(0).permutation(5)
    order = np.concatenate([np.arange(600 * k, 600 * k + 600) for k in starts])
    dX, dy = (pieces(array, (600,) * 5) for array in (X[order], y[order, 0]))
    assert same(DaskZipMLRegressor(quantizer=quantizer).fit(dX, dy), local)
    clipping = DoubleSamplingQuantizer(4, outliers="none", random_state=1).fit(X)
    with pytest.warns(UserWarning, match="lie outside the range"):
        DaskZipMLRegressor(quantizer=clipping).fit(dX + 50.0, dy)


def test_float32_and_integers(client):
    """Dtypes of coefficients, and of mixed partitions, are those of the local fit."""
    X, y, _ = rows()
    X = X.astype(np.float32)
    local = ZipMLRegressor(8, random_state=0).partial_fit(X, y[:, :1])
    model = DaskZipMLRegressor(8, random_state=0).fit(*array_in(3, X, y[:, :1]))
    assert same(model, local)
    assert (model.coef_.dtype, model.coef_.shape) == (np.float32, (1, 7))
    mixed = [delayed(X[:1000]), delayed(np.arange(14_000).reshape(2000, 7))]
    whole = np.concatenate([X[:1000], np.arange(14_000).reshape(2000, 7)])
    model = DaskZipMLRegressor(random_state=0).fit(mixed, [delayed(y[:1000, 0]), delayed(y[1000:, 0])])
    assert same(model, ZipMLRegressor(random_state=0).partial_fit(whole, y[:, 0]))


@pytest.mark.parametrize("class_weight", [None, "balanced", {"a": 3.0}])
def test_classes_sorted_by_partition(client, class_weight):
    """Each partition has one label or two; labels are strings."""
    X, y, weights = rows()
    labels = np.array(["a", "b", "c"])[np.digitize(y[:, 0], np.quantile(y[:, 0], [0.2, 0.7]))]
    order = np.argsort(labels, kind="stable")
    X, labels, weights = X[order], labels[order], weights[order]
    given = class_weight
    if given == "balanced":
        given = dict(zip("abc", compute_class_weight("balanced", classes=np.array(list("abc")), y=labels), strict=True))
    local = ZipMLLSSVC(class_weight=given, random_state=0).partial_fit(X, labels, list("abc"), weights)
    dX, dy, dw = array_in(6, X, labels, weights)
    model = DaskZipMLLSSVC(class_weight=class_weight, random_state=0).fit(dX, dy, sample_weight=dw)
    assert same(model, local)
    np.testing.assert_array_equal(model.classes_, ["a", "b", "c"])
    assert model.score(dX, dy) == local.score(X, labels)
    np.testing.assert_array_equal(model.decision_function(dX)[:5].compute(), local.decision_function(X[:5]))
    with pytest.raises(ValueError, match="a weight of 0 leaves rows out"):
        DaskZipMLLSSVC(class_weight={"a": 0}).fit(dX, dy)


def test_frames(client):
    """Names are kept and checked; predictions are series with the index of the frame, and lazy."""
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    X, y, weights = rows(600)
    frame = pd.DataFrame(X, columns=list("abcdefg"))
    frame["target"], frame["weight"] = y[:, 0], weights
    parts = dd.from_pandas(frame, npartitions=3)
    features = parts[list("abcdefg")]
    model = DaskZipMLRegressor(random_state=0).fit(features, parts["target"], sample_weight=parts["weight"])
    local = ZipMLRegressor(random_state=0).partial_fit(frame[list("abcdefg")], y[:, 0], weights)
    assert same(model, local)
    assert model.feature_names_in_.tolist() == list("abcdefg")
    predicted = model.predict(features)
    assert isinstance(predicted, dd.Series)
    found = predicted.compute()
    np.testing.assert_array_equal(found, local.predict(frame[list("abcdefg")]))
    assert found.index.equals(frame.index)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(parts[list("gfedcba")]).compute()


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of Dask that reads Parquet by pandas 3.1
def test_frames_of_files(client, tmp_path):
    """Dask reads several files at once where it needs few of their columns; partitions go with one another still."""
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    pytest.importorskip("pyarrow")
    X, y, _ = rows(600)
    frame = pd.DataFrame(X, columns=list("abcdefg")).assign(target=y[:, 0])
    dd.from_pandas(frame, npartitions=6).to_parquet(tmp_path)
    parts = dd.read_parquet(tmp_path)
    assert len(parts["target"].to_delayed()) < parts.npartitions
    model = DaskZipMLRegressor(random_state=0).fit(parts[list("abcdefg")], parts["target"])
    assert same(model, ZipMLRegressor(random_state=0).partial_fit(frame[list("abcdefg")], y[:, 0]))


def test_predictions_are_lazy(client):
    """Of arrays with several targets, of delayed chunks, and of what is in memory."""
    X, y, _ = rows(600)
    model = DaskZipMLRegressor(random_state=0).fit(*array_in(3, X, y))
    predicted = model.predict(da.from_array(X, chunks=(200, 3)))
    assert isinstance(predicted, da.Array)
    assert predicted.shape == (600, 2)
    local = model.to_local().predict(X)
    np.testing.assert_array_equal(predicted.compute(), local)
    (chunk,) = model.predict([delayed(X)])
    np.testing.assert_array_equal(chunk.compute(), local)
    np.testing.assert_array_equal(model.predict(X), local)
    assert model.predict(array_in(4, X)[0]).compute().shape == (600, 2)


def test_estimators_are_those_of_scikit_learn(client):
    """Pickles leave the client out, clones keep it; searches over plain arrays run; to_local knows no Dask."""
    X, y, _ = rows(600)
    model = DaskZipMLRegressor(random_state=0, client=client).fit(*array_in(2, X, y[:, 0]))
    restored = pickle.loads(pickle.dumps(model))
    assert restored.client is None
    np.testing.assert_array_equal(restored.predict(X), model.predict(X))
    assert clone(model).client is client
    local = model.to_local()
    assert type(local) is ZipMLRegressor
    assert local.get_params()["random_state"] == 0
    assert local.to_sklearn().score(X, y[:, 0]) == pytest.approx(local.score(X, y[:, 0]))
    search = GridSearchCV(DaskZipMLRegressor(random_state=0, client=client), {"alpha": [1e-4, 10.0]}, cv=3)
    assert search.fit(X, y[:, 0]).best_params_ == {"alpha": 1e-4}


def test_fit_in_a_task(client):
    """It takes the client of the worker, and its thread is given to others meanwhile."""

    def work():
        X, y, _ = rows(600)
        return DaskZipMLRegressor(random_state=0).fit(X, y[:, 0]).coef_

    X, y, _ = rows(600)
    np.testing.assert_array_equal(
        client.submit(work, pure=False).result(), ZipMLRegressor(random_state=0).partial_fit(X, y[:, 0]).coef_
    )


def test_shards_are_packed_once(client, tmp_path):
    """Shards are fitted more than once, saved one file each, and fitted from there: all the same bits."""
    X, y, weights = rows()
    dX, dy, dw = array_in(4, X, y, weights)
    packed = DaskPackedMatrix.pack(dX, dy, dw, random_state=0)
    assert packed.shape == (np.count_nonzero(weights), 7)
    local = ZipMLRegressor(alpha=0.1, random_state=0).partial_fit(X, y, weights)
    sent = []
    for alpha in (0.1, 2.0, 0.1):
        model = DaskZipMLRegressor(alpha=alpha).fit(packed)
        assert same(model, ZipMLRegressor(alpha=alpha, random_state=0).partial_fit(X, y, weights))
        sent.append(model.bytes_sent_)
    assert sent[0] > 0 and sent[1:] == [0, 0]  # second moments are kept
    packed.save(tmp_path / "shards")
    with pytest.raises(ValueError, match="not empty"):
        packed.save(tmp_path / "shards")
    parts = packed.npartitions
    packed.release()
    with pytest.raises(ValueError, match="has been released"):
        DaskZipMLRegressor().fit(packed)
    loaded = DaskPackedMatrix.load(tmp_path / "shards")
    assert (loaded.shape, loaded.npartitions) == (packed.shape, parts)
    assert same(DaskZipMLRegressor(alpha=0.1).fit(loaded), local)
    with pytest.raises(ValueError, match="leave out y"):
        DaskZipMLRegressor().fit(loaded, y)
    with pytest.raises(ValueError, match="packed in 4 bits"):
        DaskZipMLRegressor(8).fit(loaded)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(loaded)
    loaded.release()
    (tmp_path / "shards" / "shards.json").unlink()
    with pytest.raises(ValueError, match="not one that save has finished"):
        DaskPackedMatrix.load(tmp_path / "shards")


def test_labels_are_packed_too(client):
    """Shards of labels serve the classifier."""
    X, y, _ = rows(600)
    labels = np.where(y[:, 0] > y[:, 0].mean(), "up", "down")
    packed = DaskPackedMatrix.pack(*array_in(3, X, labels), random_state=0)
    model = DaskZipMLLSSVC().fit(packed)
    assert same(model, ZipMLLSSVC(random_state=0).partial_fit(X, labels, ["down", "up"]))
    packed.release()


@pytest.mark.parametrize(("bits", "loss", "weighted"), [(8, 0.002, True), (4, 0.01, False)])
def test_rounds_come_to_the_local_fit(client, bits, loss, weighted):
    """With model and gradient in few bits, two targets, and every partition with rows of its own kind."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 200)) * np.geomspace(0.1, 10, 200)
    y = X @ rng.standard_normal((200, 2)) / 100 + rng.standard_normal((3000, 2))
    order = np.argsort(y[:, 0])
    X, y = X[order], y[order]
    weights = rng.uniform(0.5, 2, 3000) if weighted else None
    local = ZipMLRegressor(alpha=0.01, random_state=0, solver="gram").fit(X, y, weights)
    dX, dy, dw = array_in(5, X, y, np.ones(3000) if weights is None else weights)
    model = DaskZipMLRegressor(alpha=0.01, solver="rounds", model_bits=bits, gradient_bits=bits, random_state=0)
    model.fit(dX, dy, sample_weight=dw if weighted else None)
    assert model.solver_ == "rounds"
    assert model.score(X, y, weights) > local.score(X, y, weights) - loss
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert model.bytes_sent_ < model.float32_bytes_


def test_rounds_of_classes(client):
    """The decisions of the local fit."""
    X, y, _ = rows()
    labels = np.digitize(y[:, 0], np.quantile(y[:, 0], [0.3, 0.6]))
    model = DaskZipMLLSSVC(solver="rounds", random_state=0).fit(*array_in(4, X, labels))
    local = ZipMLLSSVC(random_state=0).fit(X, labels)
    assert model.score(X, labels) > local.score(X, labels) - 0.005


def test_collections_of_any_kind(client):
    """Blocks of columns, a chunk alone, chunks on the cluster, rows in memory; others are refused by name."""
    X, y, _ = rows(600)
    local = ZipMLRegressor(random_state=0).partial_fit(X, y[:, 0])
    blocks = da.from_array(X, chunks=(300, 3)), da.from_array(y[:, 0], chunks=200)
    alone = delayed(X), delayed(y[:, 0])
    scattered = client.scatter([X]), client.scatter([y[:, 0]])
    for kind in (blocks, alone, scattered, (X.tolist(), y[:, 0].tolist())):
        model = DaskZipMLRegressor(random_state=0).fit(*kind)
        assert same(model, local)
        assert model.score(*kind) == pytest.approx(local.score(X, y[:, 0]), abs=1e-12)
    np.testing.assert_array_equal(model.predict(scattered[0])[0].compute(), local.predict(X))
    np.testing.assert_array_equal(model.predict(alone[0]).compute(), local.predict(X))
    with pytest.raises(ValueError, match="X is a Bag; give a Dask array, a Dask data frame or delayed chunks"):
        DaskZipMLRegressor().fit(bag.from_sequence([1.0]), y)


def test_a_container_tells_what_it_is(client):
    """And that it is packed or loaded, not made."""
    X, y, _ = rows(600)
    packed = DaskPackedMatrix.pack(*array_in(2, X, y), sample_bits=2, random_state=0)
    assert re.fullmatch(r"DaskPackedMatrix\(shape=\(600, 7\), sample_bits=2, npartitions=2, .+\)", repr(packed))
    packed.release()
    with pytest.raises(TypeError, match="pack"):
        DaskPackedMatrix()

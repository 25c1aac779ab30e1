"""Conversion to ONNX through skl2onnx: the runtime predicts what the estimator does."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingRegressor, StackingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_zipml import (
    DoubleSamplingQuantizer,
    ZipMLLogisticRegression,
    ZipMLLSSVC,
    ZipMLLSSVCCV,
    ZipMLRegressor,
    ZipMLRegressorCV,
    register_onnx_converters,
)

onnxruntime = pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")
REGRESSOR, CLASSIFIER = ZipMLRegressor(random_state=0), ZipMLLSSVC(random_state=0)
QUANTIZER = DoubleSamplingQuantizer(random_state=0)


@pytest.fixture(autouse=True, scope="module")
def converters():
    """Once in a process; a second time changes nothing."""
    register_onnx_converters()
    register_onnx_converters()


def data(dtype=np.float64):
    """Rows, and a linear target with noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4)).astype(dtype)
    return X, X @ np.arange(1.0, 5) + rng.normal(size=300)


def run(model, X, **options):
    """Outputs of the converted model, by name."""
    graph = skl2onnx.to_onnx(model, X[:1], **options)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": X}), strict=True))


MODELS = {
    "alone": REGRESSOR,
    "l1": ZipMLRegressor(alpha=0.1, l1_ratio=0.5, random_state=0),
    "scaled and quantized": make_pipeline(StandardScaler(), QUANTIZER, REGRESSOR),
    "columns": make_pipeline(
        ColumnTransformer([("a", StandardScaler(), [0, 1])], remainder="passthrough"), QUANTIZER, REGRESSOR
    ),
    "its own search": ZipMLRegressorCV([0.01, 0.1], random_state=0),
    "search": GridSearchCV(REGRESSOR, {"sample_bits": [2, 4]}),
    "bagging": BaggingRegressor(REGRESSOR, n_estimators=3, random_state=0),
    "stacking": StackingRegressor([("a", REGRESSOR), ("b", Ridge())], REGRESSOR),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_regressors(model, dtype):
    """Alone, in pipelines and in ensembles."""
    X, y = data(dtype)
    model = clone(model).fit(X, y)
    (predictions,) = run(model, X).values()
    assert predictions.dtype == dtype
    assert_allclose(predictions[:, 0], model.predict(X), atol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("model", [REGRESSOR, MultiOutputRegressor(REGRESSOR)])
def test_several_targets(model):
    """A column for each."""
    X, y = data()
    model = clone(model).fit(X, np.c_[y, -2 * y])
    (predictions,) = run(model, X).values()
    assert_allclose(predictions, model.predict(X), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("names", [[3, 7], ["no", "yes"], [False, True], [1, 2, 4], ["a", "b", "c"]])
@pytest.mark.parametrize("head", [[], [StandardScaler(), QUANTIZER]])
@pytest.mark.parametrize("last", [ZipMLLSSVC(C=0.1, random_state=0), ZipMLLSSVCCV([0.01, 0.1], random_state=0)])
def test_classifiers(last, head, names, dtype):
    """Labels and scores, of float32 and of float64."""
    X, y = data(dtype)
    labels = np.array(names)[np.digitize(y, np.linspace(-3, 3, len(names) + 1)[1:-1])]
    model = make_pipeline(*head, clone(last)).fit(X, labels)
    found = run(model, X)
    assert list(found) == ["label", "scores"]
    assert_array_equal(found["label"], model.predict(X))
    scores = model.decision_function(X)
    expected = np.c_[-scores, scores] if len(names) == 2 else scores
    assert found["scores"].dtype == dtype
    assert_allclose(found["scores"], expected, atol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("names", [[3, 7], ["a", "b", "c"]])
@pytest.mark.parametrize("head", [[], [StandardScaler(), QUANTIZER]])
def test_logistic_regression(head, names, dtype):
    """Labels and probabilities."""
    X, y = data(dtype)
    labels = np.array(names)[np.digitize(y, np.linspace(-3, 3, len(names) + 1)[1:-1])]
    model = make_pipeline(*head, ZipMLLogisticRegression(random_state=0)).fit(X, labels)
    found = run(model, X)
    assert list(found) == ["label", "probabilities"]
    assert_array_equal(found["label"], model.predict(X))
    # the operator works in float32
    assert_allclose(found["probabilities"], model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("model", [OneVsRestClassifier(CLASSIFIER), CalibratedClassifierCV(CLASSIFIER)])
def test_ensembles_of_classifiers(model):
    """Those that call the converter of what they hold; probabilities of calibrated ones agree."""
    X, y = data(np.float32)
    model = clone(model).fit(X, np.digitize(y, [-2, 2]))
    label, probabilities = run(model, X, options={"zipmap": False}).values()
    assert_array_equal(label, model.predict(X))
    if hasattr(model, "predict_proba"):
        assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)


def test_options():
    """Raw scores are what there is, classes as numbers, and never a list of dictionaries."""
    X, y = data(np.float32)
    model = clone(CLASSIFIER).fit(X, np.array(["a", "b", "c"])[np.digitize(y, [-2, 2])])
    for options in ({"raw_scores": True}, {"raw_scores": False}, {"zipmap": True}):
        assert_allclose(run(model, X, options=options)["scores"], model.decision_function(X), atol=1e-5)
    found = run(model, X, options={"nocl": True})
    assert_array_equal(model.classes_[found["label"]], model.predict(X))


def test_rounding_of_unseen_rows_is_refused():
    """There is no such operator."""
    X, y = data()
    model = make_pipeline(DoubleSamplingQuantizer(quantize_unseen=True, random_state=0), REGRESSOR).fit(X, y)
    with pytest.raises(NotImplementedError, match="quantize_unseen=False"):
        run(model, X)


def test_without_skl2onnx(monkeypatch):
    """The error tells what to install."""
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'sklearn_zipml\[onnx\]'"):
        register_onnx_converters()

"""Callbacks of scikit-learn 1.9: what they are told, and what they can do."""

import importlib.util
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import ClassifierMixin, clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLogisticRegression, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._estimators import callbacks

try:
    from sklearn.callback import ProgressBar, ScoringMonitor
except ImportError:
    ProgressBar = ScoringMonitor = None

needs_callbacks = pytest.mark.skipif(ScoringMonitor is None, reason="callbacks came with scikit-learn 1.9")
MODELS = [
    ZipMLRegressor(solver="saga", random_state=0),
    ZipMLRegressor(None, solver="saga", random_state=0),
    ZipMLRegressor(solver="sgd", early_stopping=True, random_state=0),
    ZipMLLSSVC(solver="saga", random_state=0),
    ZipMLLogisticRegression(2, random_state=0),
    ZipMLLogisticRegression(None, tol=1e-9, random_state=0),
    ZipMLLSSVC(2, early_stopping=True, class_weight="balanced", random_state=0),
]


def data(model=None, n=400):
    """Rows and targets, three classes for a classifier."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 5))
    y = X @ np.arange(1.0, 6) + rng.normal(size=n)
    return X, np.array(["a", "b", "c"])[np.digitize(y, [-3, 3])] if isinstance(model, ClassifierMixin) else y


class Recorder:
    """Every call, and the model after every epoch; asks to stop after `stop_after` of them."""

    def __init__(self, stop_after=None):
        self.calls, self.models, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        """Begin."""
        self.calls.append("setup")

    def teardown(self, estimator, context):
        """Clean up."""
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        """A fit or an epoch begins."""
        self.calls.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        """Note the models of epochs."""
        self.calls.append(f"end {context.task_name}")
        if context.task_name == "epoch" and fitted_estimator is not None:
            self.models.append(fitted_estimator)
        return context.task_name == "epoch" and len(self.models) == self.stop_after


@needs_callbacks
@pytest.mark.parametrize("model", MODELS)
def test_every_epoch_is_a_task(model):
    """Tasks nest, every begin has its end, and there is a working model after every epoch."""
    X, y = data(model)
    recorder = Recorder()
    model = clone(model).set_callbacks(recorder).fit(X, y)
    assert recorder.calls[:2] == ["setup", "begin fit"]
    assert recorder.calls[-2:] == ["end fit", "teardown"]
    inner = recorder.calls[2:-2]
    assert inner == ["begin epoch", "end epoch"] * (len(inner) // 2)
    assert len(recorder.models) == model.n_iter_
    assert [epoch.n_iter_ for epoch in recorder.models] == list(range(1, model.n_iter_ + 1))
    last = recorder.models[-1]
    assert last.coef_.shape == model.coef_.shape and last.coef_.dtype == model.coef_.dtype
    assert last.predict(X).shape == y.shape
    assert last.score(X, y) > 0.6 and last.score(X, y) >= recorder.models[0].score(X, y) - 0.02


@needs_callbacks
@pytest.mark.parametrize("model", MODELS)
def test_callbacks_change_nothing(model):
    """The same coefficients with and without listeners."""
    X, y = data(model)
    heard = clone(model).set_callbacks(Recorder()).fit(X, y)
    assert_array_equal(heard.coef_, clone(model).fit(X, y).coef_)


@needs_callbacks
@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_a_callback_ends_the_fit(solver):
    """Without a warning: it was asked to."""
    X, y = data()
    recorder = Recorder(stop_after=2)
    model = ZipMLRegressor(solver=solver, tol=0, random_state=0).set_callbacks(recorder).fit(X, y)
    assert model.n_iter_ == 2
    assert model.score(X, y) > 0.5


@needs_callbacks
@pytest.mark.parametrize("model", MODELS)
def test_scoring_monitor(model):
    """A score after every epoch and one of the result."""
    X, y = data(model)
    name = "accuracy" if isinstance(model, ClassifierMixin) else "r2"
    monitor = ScoringMonitor(scoring=name)
    model = clone(model).set_callbacks(monitor).fit(X, y, sample_weight=np.linspace(1, 2, len(y)))
    rows = monitor.get_logs().data
    assert len(rows) == model.n_iter_ + 1
    result = [row[name] for row in rows if row["task_name"] == "fit"]
    assert result == [model.score(X, y, sample_weight=np.linspace(1, 2, len(y)))]


@needs_callbacks
def test_packed_rows_reach_callbacks_packed(monkeypatch):
    """Scores on packed rows decode nothing."""
    X, y = data()
    packed = DoubleSamplingQuantizer(random_state=0).fit_transform(X)
    monkeypatch.delattr(PackedMatrix, "__array__")
    monitor = ScoringMonitor(scoring="r2")
    ZipMLRegressor(random_state=0).set_callbacks(monitor).fit(packed, y)
    assert min(row["r2"] for row in monitor.get_logs().data) > 0.3


@needs_callbacks
def test_progress_bar(capsys):
    """One bar a fit."""
    pytest.importorskip("rich")
    X, y = data()
    ZipMLRegressor(random_state=0).set_callbacks(ProgressBar()).fit(X, y)
    out = capsys.readouterr().out
    assert "ZipMLRegressor" in out and "100%" in out


@needs_callbacks
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_callbacks_through_pipeline_and_search(n_jobs, capsys):
    """A quantizer in front supports them too, so that nothing warns; scores come from every fit."""
    pytest.importorskip("rich")
    X, y = data()
    monitor = ScoringMonitor(scoring="r2")
    model = ZipMLRegressor(tol=0, max_iter=4, random_state=0).set_callbacks(monitor)
    pipeline = make_pipeline(DoubleSamplingQuantizer(random_state=0), model)
    search = GridSearchCV(pipeline, {"zipmlregressor__alpha": [1e-4, 1e-2]}, cv=3, n_jobs=n_jobs)
    search.set_callbacks(ProgressBar()).fit(X, y)
    assert len(monitor.get_logs().data) == (2 * 3 + 1) * (4 + 1)
    assert "GridSearchCV" in capsys.readouterr().out


@needs_callbacks
def test_teardown_after_an_error():
    """A fit that fails leaves no open task behind."""
    X, y = data()
    recorder = Recorder()
    model = ZipMLRegressor(random_state=0).set_callbacks(recorder)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.full_like(X, np.nan), y)
    assert recorder.calls[-1] == "teardown"
    assert model.fit(X, y).score(X, y) > 0.9


def test_without_callbacks(monkeypatch):
    """Before scikit-learn 1.9 there is nobody to tell."""
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    spec = importlib.util.spec_from_file_location("callbacks_before_1_9", callbacks.__file__)
    old = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(old)
    assert not hasattr(old.CallbackSupportMixin, "set_callbacks")
    with old.FitTask(old.CallbackSupportMixin(), X=None, max_epochs=2) as task:
        task.begin_epoch()
        assert not task.end_epoch(1, lambda: (None, None))

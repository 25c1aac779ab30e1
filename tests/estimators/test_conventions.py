"""scikit-learn's global settings and conventions that its estimator checks leave out."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import __version__, config_context
from sklearn.base import ClassifierMixin, clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLogisticRegression, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._estimators import doc_link

OLD = __version__.startswith("1.7.")
MODELS = [ZipMLRegressor(random_state=0), ZipMLLSSVC(random_state=0), ZipMLLogisticRegression(random_state=0)]


def data(model=None, n=300):
    """Rows, and targets that suit the model."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    y = X @ np.arange(1.0, 5) + rng.normal(size=n)
    return X, (y > 0).astype(int) if isinstance(model, ClassifierMixin) else y


def pack(X):
    """As PackedMatrix."""
    return DoubleSamplingQuantizer(8, random_state=0).fit_transform(X)


# Metadata routing


@pytest.mark.parametrize("kind", [np.asarray, pack])
@pytest.mark.parametrize("model", MODELS)
def test_sample_weight_is_routed(model, kind):
    """Weights of zero reach the fits: the rows they stand for could be anything."""
    X, y = data(model)
    weight = np.tile([0.0, 1.0, 2.0], len(y) // 3)
    wrong = np.where(weight == 0, 1 - y, y)
    with config_context(enable_metadata_routing=True):
        asking = clone(model).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        right, other = (
            cross_validate(
                asking, kind(X), target, cv=KFold(3), params={"sample_weight": weight}, return_estimator=True
            )
            for target in (y, wrong)
        )
        for one, two in zip(right["estimator"], other["estimator"], strict=True):
            assert_array_equal(one.coef_, two.coef_)
        assert_array_equal(right["test_score"], other["test_score"])


@pytest.mark.parametrize("model", MODELS)
def test_sample_weight_through_a_searched_pipeline(model):
    """The quantizer takes none, the model takes it."""
    X, y = data(model)
    weight = np.linspace(0, 1, len(y))
    with config_context(enable_metadata_routing=True):
        asking = clone(model).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(DoubleSamplingQuantizer(random_state=0), asking)
        # scikit-learn 1.7 does not ask the last step of a pipeline what its score takes
        name = "accuracy" if isinstance(model, ClassifierMixin) else "r2"
        scoring = get_scorer(name).set_score_request(sample_weight=True) if OLD else None
        search = GridSearchCV(pipeline, {"doublesamplingquantizer__sample_bits": [2, 4]}, cv=3, scoring=scoring)
        search.fit(X, y, sample_weight=weight)
        best = clone(search.best_estimator_).fit(X, y, sample_weight=weight)
    assert_array_equal(search.best_estimator_[-1].coef_, best[-1].coef_)
    plain = clone(best).fit(X, y)
    assert not np.array_equal(plain[-1].coef_, best[-1].coef_)


@pytest.mark.parametrize("model", MODELS)
def test_unrequested_sample_weight_is_an_error(model):
    """Nobody said whether to use it."""
    X, y = data(model)
    with config_context(enable_metadata_routing=True), pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        cross_validate(model, X, y, params={"sample_weight": np.ones(len(y))})


# Global settings


def test_html():
    """What notebooks show: parameters, fitted or not, and features."""
    X, y = data()
    model = ZipMLRegressor(sample_bits=2, random_state=0)
    assert "Not fitted" in model._repr_html_() and "sample_bits" in model._repr_html_()
    html = make_pipeline(DoubleSamplingQuantizer(random_state=0), model).fit(X, y)._repr_html_()
    assert "DoubleSamplingQuantizer" in html and "ZipMLRegressor" in html and "Not fitted" not in html
    with config_context(print_changed_only=False):
        assert "gradient_bits=None" in repr(model)
    assert repr(model) == "ZipMLRegressor(random_state=0, sample_bits=2)"


@pytest.mark.parametrize("model", [*MODELS, DoubleSamplingQuantizer()])
def test_documentation_link(model, monkeypatch):
    """Notebooks link to the API reference and explain every parameter, as soon as there is a published address."""
    assert doc_link.documentation_address() or "href" not in model._repr_html_()
    monkeypatch.setattr(doc_link, "documentation_address", lambda: "https://docs.example/latest")
    page = f"https://docs.example/latest/generated/sklearn_zipml.{type(model).__name__}.html"
    assert model._get_doc_link() == page
    html = model._repr_html_()
    assert f'href="{page}"' in html
    if not OLD:
        assert all(f'href="{page}#:~:text={name},' in html for name in model.get_params())


def test_documentation_address(monkeypatch):
    """That of the package's metadata."""
    address = doc_link.documentation_address.__wrapped__
    for urls, expected in (
        (["Source, https://code.example", "Documentation, https://docs.example/"], "https://docs.example"),
        (["Source, https://code.example"], ""),
        (None, ""),
    ):
        found = type("Metadata", (), {"get_all": lambda self, key, urls=urls: urls})()
        monkeypatch.setattr(doc_link, "metadata", lambda name, found=found: found)
        assert address() == expected


# Data frames


@pytest.mark.parametrize(
    "frame, series", [(pd.DataFrame, pd.Series), (pl.DataFrame, pl.Series)], ids=["pandas", "polars"]
)
@pytest.mark.parametrize("model", [*MODELS, ZipMLRegressor(early_stopping=True, random_state=0)])
def test_frames_and_series(model, frame, series):
    """X, y and weights of a data frame library give what the arrays give, in every method."""
    X, y = data(model)
    weight = np.linspace(0, 1, len(y))
    expected = clone(model).fit(X, y, sample_weight=weight)
    X_frame, y_series, weights = frame({f"c{j}": X[:, j] for j in range(4)}), series(y), series(weight)
    fitted = clone(model).fit(X_frame, y_series, sample_weight=weights)
    assert_array_equal(fitted.coef_, expected.coef_)
    assert_allclose(fitted.predict(X_frame), expected.predict(X), rtol=1e-12, atol=1e-12)
    score = expected.score(X, y, sample_weight=weight)
    assert fitted.score(X_frame, y_series, sample_weight=weights) == pytest.approx(score)
    if not hasattr(model, "partial_fit"):
        return
    classes = {"classes": [0, 1]} if isinstance(model, ClassifierMixin) else {}
    chunk = clone(model).partial_fit(X_frame, y_series, sample_weight=weights, **classes)
    assert_allclose(chunk.coef_, clone(model).partial_fit(X, y, sample_weight=weight, **classes).coef_)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_targets_in_a_frame(frame):
    """Several columns."""
    X, y = data()
    model = ZipMLRegressor(random_state=0).fit(X, frame({"a": y, "b": -y}))
    assert_array_equal(model.coef_, ZipMLRegressor(random_state=0).fit(X, np.c_[y, -y]).coef_)


@pytest.mark.parametrize("kind, frame", [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_frames_asked_for_in_a_pipeline(kind, frame):
    """With transform_output rows that are passed on are a frame, and those that are packed stay packed."""
    X, y = data()
    pipeline = make_pipeline(DoubleSamplingQuantizer(8, random_state=0), ZipMLRegressor(8, random_state=0))
    with config_context(transform_output=kind):
        pipeline.fit(X, y)
        assert isinstance(pipeline[0].transform(X), frame)
        assert pipeline.score(X, y) > 0.9
    assert pipeline[-1].sample_bits_ == 8


@pytest.mark.parametrize("sample_bits", [4, None])
def test_assume_finite(sample_bits):
    """Changes no result on finite rows."""
    X, y = data()
    expected = ZipMLRegressor(sample_bits, random_state=0).fit(X, y)
    with config_context(assume_finite=True):
        model = ZipMLRegressor(sample_bits, random_state=0).fit(X, y)
        assert_array_equal(model.coef_, expected.coef_)
        assert_array_equal(model.predict(X), expected.predict(X))


def test_skip_parameter_validation():
    """Parameters are checked by scikit-learn, and only if it is to check."""
    X, y = data()
    with pytest.raises(ValueError, match=r"'verbose'.*-1"):
        ZipMLRegressor(verbose=-1).fit(X, y)
    with config_context(skip_parameter_validation=True):
        assert ZipMLRegressor(tol=np.float64(1e-4), alpha=0, random_state=0).fit(X, y).score(X, y) > 0.9


def test_tags():
    """They say what is so."""
    regressor, classifier, quantizer = map(get_tags, (ZipMLRegressor(), ZipMLLSSVC(), DoubleSamplingQuantizer()))
    assert regressor.target_tags.multi_output and regressor.regressor_tags is not None
    assert classifier.classifier_tags.multi_class and not classifier.target_tags.multi_output
    assert quantizer.transformer_tags.preserves_dtype == ["float64", "float32"]
    for tags in (regressor, classifier, quantizer):
        assert not tags.input_tags.sparse and not tags.input_tags.allow_nan and not tags.array_api_support
    assert not get_tags(DoubleSamplingQuantizer(quantize_unseen=True)).non_deterministic


# The array API, which scipy wants to be told of before it is imported

ARRAY_API = """
import numpy as np, pytest, sklearn
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.utils.estimator_checks import estimator_checks_generator as checks
from sklearn.utils.fixes import parse_version
from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 3))
y = X @ np.arange(1.0, 4)
packed = DoubleSamplingQuantizer(8, random_state=0).fit_transform(X)
before = ZipMLRegressor(random_state=0).fit(packed, y)
with sklearn.config_context(array_api_dispatch=True):
    assert np.array_equal(ZipMLRegressor(random_state=0).fit(packed, y).coef_, before.coef_)
    assert ZipMLLSSVC(random_state=0).fit(X, y > 0).score(X, y > 0) > 0.9
    decode, PackedMatrix.__array__ = PackedMatrix.__array__, None
    assert cross_validate(ZipMLRegressor(3, random_state=0), packed, y)["test_score"].min() > 0.8
    assert GridSearchCV(ZipMLRegressor(random_state=0), {"sample_bits": [3, 8]}).fit(packed, y).best_score_ > 0.9
    PackedMatrix.__array__ = decode
    xp = pytest.importorskip("array_api_strict")
    for model in (ZipMLRegressor(), ZipMLLSSVC(), DoubleSamplingQuantizer()):
        with pytest.raises(TypeError, match=r"dispatch=True and X is of type array_api_strict.*numpy.asarray"):
            model.fit(xp.asarray(X), y > 0)
    for model in (ZipMLRegressor(), ZipMLLSSVC(), DoubleSamplingQuantizer(quantize_unseen=True)):
        found = [check(model) for _, check in checks(model) if "array_api" in check.func.__name__]
        assert found or parse_version(sklearn.__version__) < parse_version("1.9")  # not for all estimators before
    with pytest.raises(TypeError, match="and y is of type"):
        ZipMLRegressor().fit(packed, xp.asarray(y))
    with pytest.raises(TypeError, match="and X is of type"):
        before.predict(xp.asarray(X))
print("done")
"""


def test_array_api():
    """Under array_api_dispatch packed rows stay packed, and what is not NumPy is refused with the way out."""
    result = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", ARRAY_API],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
    )
    assert result.stdout.strip() == "done" or "Skipped" in result.stderr, result.stderr


def test_take_is_that_of_numpy():
    """Rows packed, columns decoded."""
    X, _ = data()
    packed = pack(X)
    rows = packed.take([3, 1])
    assert rows == packed[[3, 1]]
    assert_array_equal(np.take(packed, [2, 0], axis=1), np.asarray(packed)[:, [2, 0]])
    with pytest.raises(ValueError, match="axis=2"):
        packed.take([0], axis=2)
    with pytest.raises(ValueError, match="mode='clip'"):
        packed.take([0], mode="clip")


def unknown_rows():
    """Rows of four numbers, one of which is not known."""
    row = [[1.0, None, 2.0, 0.5], [0.1, 0.2, 0.3, 0.4]]
    yield "None in lists", row
    yield "None among objects", np.array(row, dtype=object)
    yield "NaT", np.array([["2020", "2021", "NaT", "2022"]] * 2, dtype="M8[D]")
    yield "no duration", np.array([[1, 2, "NaT", 3]] * 2, dtype="m8[s]")
    yield "masked", np.ma.masked_array(np.ones((2, 4)), [[False] * 4, [True] + [False] * 3])


@pytest.mark.parametrize("rows", [pytest.param(rows, id=name) for name, rows in unknown_rows()])
def test_values_that_are_not_known(rows):
    """Are refused wherever rows come in, not predicted on."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 4)), rng.standard_normal(200)
    regressor, classifier = ZipMLRegressor(random_state=0).fit(X, y), ZipMLLSSVC(random_state=0).fit(X, y > 0)
    quantizer = DoubleSamplingQuantizer(random_state=0).fit(X)
    for use in (
        regressor.predict,
        classifier.predict,
        classifier.decision_function,
        quantizer.transform,
        quantizer.quantize,
        quantizer.inverse_transform,
        DoubleSamplingQuantizer().fit,
        DoubleSamplingQuantizer().partial_fit,
        lambda rows: ZipMLRegressor().fit(rows, [1, 2]),
        lambda rows: ZipMLRegressor(None).fit(rows, [1, 2]),
        lambda rows: ZipMLLSSVC().partial_fit(rows, [0, 1], classes=[0, 1]),
        PackedMatrix.from_chunks,
        lambda rows: PackedMatrix.from_chunks([rows]),
    ):
        with pytest.raises(ValueError, match=r"NaN|numbers|masked|two-dimensional"):
            use(rows)


@pytest.mark.parametrize(
    "y",
    [
        [1.0, None] * 50,
        np.array([1.0, None] * 50, dtype=object),
        np.array(["2020", "NaT"] * 50, dtype="M8[D]"),
        np.ma.masked_array(np.ones(100), np.arange(100) == 3),
    ],
    ids=["None", "object", "NaT", "masked"],
)
def test_targets_and_weights_that_are_not_known(y):
    """Are refused, not learnt."""
    X = np.random.default_rng(0).standard_normal((100, 3))
    packed = DoubleSamplingQuantizer(random_state=0).fit_transform(X)
    for use in (
        lambda: ZipMLRegressor().fit(X, y),
        lambda: ZipMLRegressor().fit(packed, y),
        lambda: ZipMLRegressor().partial_fit(X, y),
        lambda: ZipMLLSSVC().fit(X, y),
        lambda: ZipMLRegressor().fit(X, X[:, 0], sample_weight=y),
        lambda: packed.with_target(y),
        lambda: PackedMatrix.from_chunks(X, y),
    ):
        with pytest.raises(
            (ValueError, TypeError), match=r"NaN|NaT|None|numbers|masked|not supported|Unknown label type"
        ):
            use()


def test_dates_are_labels_but_no_numbers():
    """As classes they are known by their values."""
    X = np.random.default_rng(0).standard_normal((100, 3))
    y = np.where(X[:, 0] > 0, np.datetime64("2020"), np.datetime64("2021"))
    assert ZipMLLSSVC(random_state=0).fit(X, y).classes_.dtype == y.dtype
    with pytest.raises(ValueError, match=r"y has dtype datetime64\[Y\]; give real numbers"):
        ZipMLRegressor().fit(X, y)
    with pytest.raises(ValueError, match=r"sample_weight has dtype datetime64\[Y\]; give real numbers"):
        ZipMLLSSVC().fit(X, y, sample_weight=y)

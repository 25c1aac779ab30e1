"""The smallest width that is good enough, and the scores it is chosen by."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_zipml import (
    DoubleSamplingQuantizer,
    PackedMatrix,
    ZipMLLogisticRegression,
    ZipMLLSSVC,
    ZipMLRegressor,
    recommend_bits,
)
from sklearn_zipml._inspection.bit_widths import Steps, cross_validate_widths


def data(n=600, d=8):
    """A linear target with some noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    return X, X @ np.arange(1.0, d + 1) + rng.normal(size=n)


def test_smallest_width_within_the_tolerance():
    """Looser tolerances need fewer bits; the choice follows from the evidence."""
    X, y = data()
    chosen = []
    for tolerance in (1e-4, 0.005, 0.05, 1.0):
        found = recommend_bits(X, y, tolerance=tolerance)
        widths, scores = found.cv_results_["param_sample_bits"], found.cv_results_["mean_test_score"]
        good = [b for b, score in zip(widths[:-1], scores[:-1], strict=True) if score >= scores[-1] - tolerance]
        assert found.sample_bits == (min(good) if good else None)
        chosen.append(found.sample_bits or 32)
    assert chosen == sorted(chosen, reverse=True) and chosen[-1] == 1 and chosen[0] > 2


@pytest.mark.filterwarnings("error::sklearn_zipml.RoundingWarning")
def test_estimated_losses_are_told():
    """Those of the fits of every width, without warnings; they are near what the scores lose."""
    X, y = data(3000, 30)
    results = recommend_bits(X, y, bits=[2, 3, 8], cv=3).cv_results_
    estimated, scores = results["mean_rounding_loss"], results["mean_test_score"]
    assert estimated[-1] == 0 and np.all(np.diff(estimated) < 0) and results["std_rounding_loss"].shape == (4,)
    lost = scores[-1] - scores
    assert lost[0] / 2 < estimated[0] < 2 * lost[0]
    logistic = recommend_bits(X, y > 0, bits=[2], cv=3, estimator=ZipMLLogisticRegression(random_state=0)).cv_results_
    assert "mean_rounding_loss" not in logistic


def test_lossless_columns_need_one_bit():
    """Zeros and ones are exact."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, size=(400, 5)).astype(float)
    assert recommend_bits(X, X @ np.arange(5.0), tolerance=1e-3).sample_bits == 1


def test_nothing_is_good_enough():
    """Then full precision is the answer."""
    X, y = data()
    assert recommend_bits(X, y, bits=[1], tolerance=0).sample_bits is None


@pytest.mark.parametrize(
    "y_kind, scorer", [("labels", ZipMLLSSVC), ("integers", ZipMLLSSVC), ("floats", ZipMLRegressor)]
)
def test_default_estimator(y_kind, scorer):
    """Floats are regressed, everything else is classified."""
    X, y = data()
    target = {"labels": np.where(y > 0, "b", "a"), "integers": (y > 0).astype(int), "floats": y}[y_kind]
    scorer = ZipMLRegressor if y_kind == "floats" else ZipMLLSSVC
    results = recommend_bits(X, target, cv=3).cv_results_
    expected = cross_val_score(scorer(None, random_state=0), X, target, cv=3)
    assert_allclose([results[f"split{k}_test_score"][-1] for k in range(3)], expected)


@pytest.mark.parametrize("sampling", ["compensated", "double"])
def test_evidence_is_that_of_plain_cross_validation(sampling):
    """At 8 bits the very scores; at fewer, requantizing costs nothing that counts."""
    X, y = data()
    model = ZipMLRegressor(sampling=sampling, random_state=0)
    results = recommend_bits(X, y, estimator=model, cv=KFold(3), n_jobs=2).cv_results_
    widths = list(results["param_sample_bits"])
    assert widths == ([1] if sampling == "compensated" else []) + [2, 3, 4, 8, None]
    for b in (8, None):
        plain = cross_val_score(ZipMLRegressor(b, sampling=sampling, random_state=0), X, y, cv=KFold(3))
        assert_array_equal([results[f"split{k}_test_score"][widths.index(b)] for k in range(3)], plain)
    plain = cross_val_score(ZipMLRegressor(4, sampling=sampling, random_state=0), X, y, cv=KFold(3)).mean()
    assert results["mean_test_score"][widths.index(4)] == pytest.approx(plain, abs=0.02)
    assert np.all(np.diff(results["mean_sample_nbytes"]) >= -0.01 * results["mean_sample_nbytes"][1:])
    assert results["params"][0] == {"sample_bits": widths[0]}
    assert results["rank_test_score"].min() == 1


def test_rows_are_packed_once_a_fold(monkeypatch):
    """Not once a fit."""
    X, y = data()
    calls = []
    original = DoubleSamplingQuantizer.fit_transform
    monkeypatch.setattr(
        DoubleSamplingQuantizer, "fit_transform", lambda self, X, y=None: calls.append(len(X)) or original(self, X, y)
    )
    recommend_bits(X, y, cv=KFold(3))
    assert calls == [400, 400, 400]


def test_the_test_fold_does_not_leak():
    """Levels and scales come from the training rows: a huge value in the test fold changes no fit."""
    X, y = data()
    folds = [(np.arange(100, 600), np.arange(99))]
    expected = recommend_bits(X, y, cv=folds).cv_results_["mean_test_score"]
    X[99] = 1e12
    assert_array_equal(recommend_bits(X, y, cv=folds).cv_results_["mean_test_score"], expected)


def test_pipeline_and_frames():
    """Transformers are fitted in every fold; a quantizer in the pipeline is the one that packs."""
    X, y = data()
    frame = pd.DataFrame(X * 1e3, columns=list("abcdefgh"))
    quantizer = DoubleSamplingQuantizer(sampling="double", random_state=0)
    pipeline = make_pipeline(StandardScaler(), quantizer, ZipMLRegressor(random_state=0))
    found = recommend_bits(frame, y, estimator=pipeline, tolerance=0.05, cv=3)
    assert found.cv_results_["param_sample_bits"][0] == 2  # two draws
    assert found.sample_bits in (3, 4)
    assert recommend_bits(frame, y, tolerance=0.05, cv=3).sample_bits in (2, 3)


def test_packed_rows(monkeypatch):
    """Are requantized, never decoded; their own width is the reference."""
    X, y = data()
    packed = DoubleSamplingQuantizer(8, random_state=0).fit_transform(X)
    monkeypatch.delattr(PackedMatrix, "__array__")
    found = recommend_bits(packed, y, tolerance=0.05)
    assert list(found.cv_results_["param_sample_bits"]) == [1, 2, 3, 4, 8]
    assert found.sample_bits in (2, 3)


def test_the_target_of_packed_rows():
    """Is taken if none is given, as by fit."""
    X, y = data()
    packed = DoubleSamplingQuantizer(8, random_state=0).fit_transform(X)
    expected = recommend_bits(packed, y, bits=[2], cv=3).cv_results_["mean_test_score"]
    found = recommend_bits(packed.with_target(y), bits=[2], cv=3).cv_results_["mean_test_score"]
    assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="y is None"):
        recommend_bits(packed)


def test_groups_are_kept_together():
    """They reach the splitter."""
    X, y = data(200)
    groups = np.arange(200) % 4
    found = recommend_bits(X, y, bits=[4], cv=GroupKFold(2), groups=groups).cv_results_
    folds = list(GroupKFold(2).split(X, y, groups))
    expected = recommend_bits(X, y, bits=[4], cv=folds).cv_results_
    assert_array_equal(found["mean_test_score"], expected["mean_test_score"])


def test_model_bits_and_groups():
    """Other widths are studied the same way."""
    X, y = data(200)
    results = cross_validate_widths(
        Steps(ZipMLRegressor(random_state=0), "model_bits", X),
        X,
        y,
        bits=[2, 8],
        cv=GroupKFold(2),
        scoring="neg_mean_squared_error",
        n_jobs=None,
        groups=np.arange(200) % 4,
    )
    assert list(results["param_model_bits"]) == [2, 8, None]
    assert np.all(results["mean_test_score"] < 0) and np.ptp(results["mean_sample_nbytes"]) == 0


def test_errors():
    """Name what is wrong."""
    X, y = data(50)
    with pytest.raises(TypeError, match="ends in one, got Ridge"):
        recommend_bits(X, y, estimator=Ridge())
    with pytest.raises(ValueError, match=r"'tolerance'.*-1"):
        recommend_bits(X, y, tolerance=-1)
    with pytest.raises(ValueError, match=r"sample_bits.*9"):
        recommend_bits(X, y, bits=[9])
    for bits in ([], [2.5], [None, 2]):
        with pytest.raises(ValueError, match=r"bits must be one or more integers.*got \["):
            recommend_bits(X, y, bits=bits)
    with pytest.raises(ValueError, match=r"param must be.*'alpha'"):
        Steps(ZipMLRegressor(), "alpha", X)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers(bad):
    """Nothing is recommended by them."""
    X, y = data(100)
    with pytest.raises(ValueError, match=f"The score of sample_bits=2 in fold 0 is {bad}: rescale y"):
        recommend_bits(X, y, bits=[2], scoring=lambda *_: bad)

"""Bad input to every public callable: a slice of what tests/stress/bad_input.py runs whole."""

from itertools import islice

import joblib
import numpy as np
import pandas as pd
import pytest
from bad_calls import calls, public_parameters
from bad_input import all_cases, label, watched
from bad_values import SCALARS
from scipy import sparse

from sklearn_zipml import (
    DoubleSamplingQuantizer,
    LevelsDisplay,
    PackedMatrix,
    ZipMLLSSVC,
    ZipMLRegressor,
    recommend_bits,
)

CASES, PARTS = 400, 8


@pytest.mark.parametrize("part", range(PARTS))
def test_bad_input_is_refused_by_name_and_changes_nothing(part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with joblib.parallel_config("threading"):
        found = [(label(*case), watched(*case)) for case in islice(all_cases(tmp_path), part, CASES, PARTS)]
    assert [(name, wrong) for name, wrong in found if wrong] == []
    assert len(found) == CASES // PARTS


def test_every_public_parameter_is_tried(tmp_path):
    tried = {(call.name.split(" ")[-1], parameter) for call in calls(tmp_path) for parameter in call.parameters}
    assert public_parameters() - tried == set()


# What the table found first, and others of these kinds

X = np.random.default_rng(0).normal(size=(40, 3))
Y = X.sum(axis=1)


@pytest.mark.parametrize(
    "value", [np.timedelta64(4, "s"), *(make(None) for name, make in SCALARS if "Fraction" in name)]
)
def test_numbers_that_are_none(value):
    """Durations are integers to Python, and fractions are numbers that NumPy cannot compare."""
    with pytest.raises(ValueError, match="'max_iter' parameter of ZipMLRegressor must be"):
        ZipMLRegressor(max_iter=value).fit(X, Y)
    packed = PackedMatrix.from_chunks(X, random_state=0)
    with pytest.raises(ValueError, match=r"'sample_bits' parameter of PackedMatrix\.requantize must be"):
        packed.requantize(value)


def test_settings_of_later_chunks_are_checked():
    model = ZipMLRegressor(random_state=0).partial_fit(X, Y)
    before = model.coef_.copy()
    with pytest.raises(ValueError, match="'sampling' parameter of ZipMLRegressor must be"):
        model.set_params(sampling="none").partial_fit(X, Y)
    np.testing.assert_array_equal(model.coef_, before)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1j])
def test_one_weight_for_all_is_a_number(value):
    with pytest.raises(ValueError, match="sample_weight"):
        ZipMLRegressor().fit(X, Y, sample_weight=value)


def test_integers_beyond_floats():
    huge = X.astype(object)
    huge[3, 1] = 10**400
    with pytest.raises(ValueError, match="X holds an integer that is too large"):
        ZipMLRegressor().fit(huge, Y)


@pytest.mark.parametrize("cv", [[4], b"4", [], [([0.5], [1])], [([0, 99], [1])], sparse.coo_matrix(np.eye(3))])
def test_folds_that_are_none(cv):
    from sklearn_zipml import ZipMLRegressorCV

    with pytest.raises(ValueError, match="cv="):
        ZipMLRegressorCV(cv=cv).fit(X, Y)


@pytest.mark.parametrize("columns", [1, "ab", {0: 1}, [[0]], np.zeros((1, 1), int)])
def test_columns_are_a_list(columns):
    with pytest.raises(TypeError, match="columns="):
        PackedMatrix.from_chunks(X, columns=columns)


@pytest.mark.parametrize("target", [True, 1.0])
def test_what_equals_an_index_is_none(target):
    with pytest.raises(ValueError, match=f"no column {target}"):
        PackedMatrix.from_chunks(X, target=target)


def test_squares_beyond_floats():
    """`fit` scales columns; sums over chunks cannot, and say so. Targets are scaled by the coefficients."""
    with pytest.raises(ValueError, match="column 1 of X exceed the range of float64"):
        ZipMLRegressor().partial_fit(X * [1, 1e200, 1], Y)
    model = ZipMLRegressor(None, alpha=1e-9).partial_fit(X, Y * 1e200)
    np.testing.assert_allclose(model.coef_, 1e200, rtol=1e-6)
    assert np.isfinite(model.loss_curve_).all()


def test_penalty_beyond_all_curvature():
    model = ZipMLRegressor(alpha=1e308, random_state=0).partial_fit(X, Y)
    np.testing.assert_allclose(model.coef_, 0, atol=1e-300)


def test_labels_that_cannot_be_sorted():
    with pytest.raises(ValueError, match="classes holds None of type NoneType"):
        ZipMLLSSVC().partial_fit(X, Y > 0, classes=[False, None])


@pytest.mark.parametrize("classes", [[0, "a"], [b"a", "a"], [1.5, b"a"]])
def test_labels_of_kinds_that_have_no_order(classes):
    classes = np.array(classes, dtype=object)
    with pytest.raises(ValueError, match="classes mixes labels"):
        ZipMLLSSVC().partial_fit(X, Y > 0, classes=classes)
    with pytest.raises(ValueError, match="y mixes labels"):
        ZipMLLSSVC().fit(X, classes[(Y > 0).astype(int)])


def test_nan_is_no_label():
    with pytest.raises(ValueError, match=r"classes=.* contains NaN"):
        ZipMLLSSVC().partial_fit(X, Y > 0, classes=[0, 1, np.nan])


@pytest.mark.parametrize("value", [sparse.eye_array(2), np.zeros(2), [1], None])
def test_a_treatment_of_missing_values_that_is_none(value):
    """It is looked at before it is compared, which arrays and sparse matrices do by element or not at all."""
    with pytest.raises(ValueError, match=r"'missing' parameter of PackedMatrix\.from_chunks"):
        PackedMatrix.from_chunks(X, missing=value)
    quantizer = DoubleSamplingQuantizer(random_state=0).fit(X).set_params(missing=value)
    assert PackedMatrix.from_chunks(X, quantizer=quantizer).shape == X.shape  # whose fit has looked at it


@pytest.mark.parametrize("n_jobs", [10**30, -(10**30)])
def test_more_workers_than_there_are_folds(n_jobs):
    results = recommend_bits(X, Y, bits=[2], cv=2, n_jobs=n_jobs).cv_results_
    np.testing.assert_array_equal(
        results["mean_test_score"], recommend_bits(X, Y, bits=[2], cv=2).cv_results_["mean_test_score"]
    )


@pytest.mark.parametrize("rows", [4, 40])  # no more rows than columns, and more
@pytest.mark.parametrize("bits", [2, None])
def test_loss_of_targets_whose_squares_are_beyond_floats(rows, bits):
    """Nothing is known of it, which counts as all where anything was rounded; nothing is lost of exact rows."""
    model = ZipMLRegressor(bits, random_state=0).partial_fit(X[:rows], Y[:rows] * 1e300)
    assert np.isfinite(model.coef_).all()
    assert model.rounding_loss_ == (0 if bits is None else 1)


def test_names_of_files_that_cannot_be_seen():
    """A name is shown as Python writes it."""
    with pytest.raises(FileNotFoundError, match=r"'\\x00'"):
        PackedMatrix.from_chunks(X, y="\0")
    with pytest.raises(FileNotFoundError, match=r"'none\\n\.csv'"):
        PackedMatrix.from_chunks("none\n.csv")


def test_objects_of_other_kinds_than_asked_for():
    """What has the method but is no estimator, what can be copied but not set, and what has no order."""
    with pytest.raises(TypeError, match=r"(?s)transform=.* is no estimator"):
        PackedMatrix.from_chunks(X, transform=pd.DataFrame({"a": [1.0]}))
    for other in ([], {}, ZipMLRegressor()):
        with pytest.raises(TypeError, match=r"estimator=.* must be a DoubleSamplingQuantizer"):
            LevelsDisplay.from_estimator(other, X)
    with pytest.raises(ValueError, match="y holds None"):
        recommend_bits(X, [[None] * 3] * 40, bits=[2], cv=2)


def test_values_of_codes_beyond_floats():
    with pytest.raises(ValueError, match=r"(?s)values=.* must be real numbers"):
        PackedMatrix.from_codes(np.zeros((3, 1), int), values=np.array([0, 10**400], dtype=object))

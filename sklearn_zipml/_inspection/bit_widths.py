"""Cross-validated scores over bit widths: rows of a fold are packed once, at 8 bits, and requantized for a fit."""

import time
import warnings
from collections.abc import Iterable

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import rankdata
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils._param_validation import StrOptions

from .._estimators.base import STORED_BITS, ZipMLModel
from .._estimators.logistic import ZipMLLogisticRegression
from .._estimators.quantizer import DoubleSamplingQuantizer
from .._estimators.validation import splitter_of
from .._kernels.threads import N_JOBS
from .._packed_matrix import PackedMatrix
from .._parameters import check_parameters, is_integer
from .._scheme import draws_of
from .._warnings import RoundingWarning

WIDTHS = (1, 2, 3, 4, 8)
CONSTRAINTS = {"scoring": [StrOptions(set(get_scorer_names())), callable, None], "cv": ["cv_object"], "n_jobs": N_JOBS}


def cross_validate_widths(steps, X, y, *, bits, cv, scoring, n_jobs, groups=None):
    """Score an estimator at every width of a parameter, and at full precision, on the same folds.

    Parameters
    ----------
    steps : Steps of an estimator, and the parameter
    X, y : training data; X may be a PackedMatrix, whose own width then stands for full precision, and whose target is
        taken if y is None
    bits : sequence of int or None, all that are possible of WIDTHS
    cv, scoring, n_jobs, groups : as for ``sklearn.model_selection.cross_validate``

    Returns
    -------
    dict of arrays shaped like ``cv_results_`` of a search, one entry for every width and a last one for full precision
    """
    check_parameters(CONSTRAINTS, {"scoring": scoring, "cv": cv, "n_jobs": n_jobs}, "the scores of bit widths")
    X, y, groups = indexable(X, target_of(X, y), groups)
    folds = splitter_of(cv, y, is_classifier(steps.model))
    settings = [*(steps.possible(WIDTHS) if bits is None else check_widths(bits)), steps.full_precision]
    scorer = check_scoring(steps.model, scoring)
    splits = list(folds.split(X, y, groups))
    workers = n_jobs if n_jobs is None else min(int(n_jobs), max(1, len(splits)))  # more would have nothing to do
    results = Parallel(n_jobs=workers)(
        delayed(_score_fold)(steps, settings, scorer, X, y, train, test) for train, test in splits
    )
    scores, *others = np.moveaxis(np.array(results), -1, 0)
    _require_numbers(steps.param, settings, scores)
    return _cv_results(steps.param, settings, scores, *others)


def target_of(X, y):
    """y, or the target that a PackedMatrix brings along."""
    if y is None and isinstance(X, PackedMatrix):
        y = X.target
    if y is None:
        raise ValueError("y is None: pass the targets, or a PackedMatrix that has some (PackedMatrix.with_target).")
    if np.asarray(y).dtype.kind == "V":
        raise ValueError(f"y has dtype {np.asarray(y).dtype}; give numbers or labels.")
    return y


def check_widths(bits):
    """Widths as a list; their range is the business of the estimator that gets them."""
    is_list = isinstance(bits, Iterable) and not isinstance(bits, str | bytes | dict) and np.ndim(bits) == 1
    widths = list(bits) if is_list else bits
    if not is_list or not widths or not all(is_integer(width) for width in widths):
        raise ValueError(f"bits must be one or more integers, full precision is added to them; got {widths!r}.")
    return [int(width) for width in widths]


class Steps:
    """An estimator taken apart: transformers, quantizer and model.

    A quantizer in a pipeline keeps its sampling, levels and seed; without one the model's own are used.
    """

    def __init__(self, estimator, param, X):
        steps = estimator.steps if isinstance(estimator, Pipeline) else [("model", estimator)]
        name, self.model = steps[-1]
        if not isinstance(self.model, ZipMLModel | ZipMLLogisticRegression):
            raise TypeError(
                "estimator must be a ZipMLRegressor, a ZipMLLSSVC, a ZipMLLogisticRegression or a Pipeline that ends "
                f"in one, got {type(estimator).__name__}."
            )
        if not isinstance(param, str):
            raise TypeError(f"param must be the name of a width, such as 'sample_bits'; got {param!r}.")
        self.param = param.removeprefix(f"{name}__")
        if self.param not in ("sample_bits", "model_bits", "gradient_bits"):
            raise ValueError(f"param must be 'sample_bits', 'model_bits' or 'gradient_bits', got {param!r}.")
        others = [step for _, step in steps[:-1] if step is not None and step != "passthrough"]
        self.quantizer = DoubleSamplingQuantizer(
            sampling=self.model.sampling,
            levels=self.model.levels,
            n_draws=self.model.n_draws,
            outliers=self.model.outliers,
            random_state=self.model.random_state,
        )
        if others and isinstance(others[-1], DoubleSamplingQuantizer):
            self.quantizer = others.pop()
        if self.param == "sample_bits" and self.quantizer.n_draws > 2:
            raise ValueError(
                f"Widths are compared by requantizing, which codes of n_draws={self.quantizer.n_draws} cannot be; "
                "leave n_draws=2."
            )
        self.transformers = others
        self.full_precision = None
        if isinstance(X, PackedMatrix) and self.param == "sample_bits":
            self.full_precision = X.sample_bits

    def possible(self, bits):
        """Those of the widths that the sampling and packed rows allow."""
        if self.param != "sample_bits":
            return bits
        fewest, most = draws_of(self.quantizer.sampling), (self.full_precision or STORED_BITS + 1)
        return [b for b in bits if fewest <= b < most]

    def transformed(self, X, X_test, y):
        """Training and test rows behind clones of the transformers."""
        for transformer in self.transformers:
            transformer = clone(transformer)
            X = transformer.fit_transform(X, y)
            X_test = transformer.transform(X_test)
        return X, X_test

    def stored(self, X, X_test):
        """Training rows as an array and packed at 8 bits, test rows as an array; packed rows stay what they are."""
        if isinstance(X, PackedMatrix):
            return X, X, X_test
        quantizer = clone(self.quantizer).set_params(sample_bits=STORED_BITS, quantize_unseen=False)
        quantizer.set_output(transform="default")
        packed = quantizer.fit_transform(X)
        return quantizer.transform(X), packed, quantizer.transform(X_test)

    def candidate(self, value):
        """The model at a width."""
        return clone(self.model).set_params(**{self.param: value, "sampling": self.quantizer.sampling})


def _score_fold(steps, settings, scorer, X, y, train, test):
    """Score, seconds of the fit, bytes of its samples, epochs, and estimated loss, for every setting."""
    (X, X_test), (y, y_test) = ([_safe_indexing(data, rows) for rows in (train, test)] for data in (X, y))
    floats, packed, X_test = steps.stored(*steps.transformed(X, X_test, y))
    rows = []
    for value in settings:
        model = steps.candidate(value)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RoundingWarning)  # what it costs is what is being found out
            model.fit(floats if model.sample_bits is None else packed, y)
        seconds = time.perf_counter() - start
        loss = np.mean(getattr(model, "rounding_loss_", np.nan))
        rows.append((scorer(model, X_test, y_test), seconds, model.sample_nbytes_, model.n_iter_, loss))
    return rows


def _require_numbers(param, settings, scores):
    """Refuse scores that nothing can be compared with: of targets whose squares leave the range, say."""
    for fold, setting in np.argwhere(~np.isfinite(scores)):
        raise ValueError(
            f"The score of {param}={settings[setting]} in fold {fold} is {scores[fold, setting]}: rescale y, or choose "
            "folds or a scoring whose scores are finite."
        )


def _cv_results(param, settings, scores, seconds, nbytes, epochs, losses):
    """Arrays (folds, settings) under the names that searches use."""
    values = np.empty(len(settings), dtype=object)
    values[:] = settings
    results = {f"param_{param}": values, "params": [{param: value} for value in settings]}
    for name, array in (("test_score", scores), ("fit_time", seconds), ("sample_nbytes", nbytes), ("n_iter", epochs)):
        results |= {f"mean_{name}": array.mean(axis=0), f"std_{name}": array.std(axis=0)}
    if not np.isnan(losses).any():  # logistic regression has none
        results |= {"mean_rounding_loss": losses.mean(axis=0), "std_rounding_loss": losses.std(axis=0)}
    results |= {f"split{k}_test_score": row for k, row in enumerate(scores)}
    results["rank_test_score"] = rankdata(-results["mean_test_score"], method="min").astype(np.int32)
    return results

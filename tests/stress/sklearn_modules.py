"""Run scikit-learn's own tests of its linear models with this package's estimators in their place.

Run: python tests/stress/sklearn_modules.py [pytest's options, for example -k lstsq -x -rs]

The test modules are those of the installed scikit-learn; nothing of them is copied. While one of them is imported,
``sklearn.linear_model`` holds thin subclasses of ZipMLRegressor and ZipMLLSSVC under the names of the classes tested:

* test_ridge.py: Ridge and RidgeClassifier (LinearRegression stays theirs, the reference),
* test_base.py: LinearRegression,
* test_coordinate_descent.py: ElasticNet and Lasso (Ridge and LinearRegression stay theirs).

The subclasses train on float32 samples to a tight ``tol``. A float32 sample is off by up to 2**-24 of the reach of its
column, and the results are too, times a condition number: they are compared with the relative tolerance that
scikit-learn has for float32 (RTOL, ATOL), and as the tests are written where that is coarser.

Not run are tests that never touch the classes tested, and those of DESELECTED, each with its reason; a test that comes
to a fit which does not apply (sparse rows, positive coefficients, a penalty for each target) is skipped from there on.
The exit status is that of pytest, or 2 where the installed scikit-learn lacks its tests.
"""

import sys
import types
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import sklearn
import sklearn.linear_model
from scipy import sparse
from sklearn.utils.validation import _check_sample_weight

from sklearn_zipml import ZipMLLSSVC, ZipMLRegressor

TOL = 1e-12
MAX_EPOCHS = 300
# Relative, and absolute in parts of the largest value expected or of 1.
RTOL, ATOL = 1e-4, 1e-6

THEIR_SOLVERS = "counts iterations or reads messages of scikit-learn's own solvers"
THEIR_OPTIONS = "about check_input=, a wrong precompute=, or copy_X=False overwriting X, which ours never does"
FINER = "asks for a perfect fit to the last of 16 digits; samples have 7"
DESELECTED = {
    "test_n_iter": THEIR_SOLVERS,
    "test_warm_start_convergence_with_regularizer_decrement": THEIR_SOLVERS,  # counts sweeps, at their tolerance
    "test_warm_start_convergence": THEIR_SOLVERS,
    "test_enet_coordinate_descent_raises_convergence": THEIR_SOLVERS,
    "test_enet_nonfinite_params": THEIR_SOLVERS,
    "test_lasso_alpha_warning": "a warning that alpha=0 is not for coordinate descent; here it is for any solver",
    "test_inplace_data_preprocessing": THEIR_OPTIONS,
    "test_check_input_false": THEIR_OPTIONS,
    "test_enet_copy_X_False_check_input_False": THEIR_OPTIONS,
    "test_overridden_gram_matrix": THEIR_OPTIONS,
    "test_elasticnet_precompute_incorrect_gram": THEIR_OPTIONS,
    "test_ridgeclassifier_multilabel": "several labels a row, which the classifier does not take",
    "test_ridge_shapes_type": "coef_ of a y of one column has one axis there, and two here as in LinearRegression",
    "test_enet_ols_consistency": FINER,
}


# Stand-ins


class StandIn:
    """What all stand-ins share; the parameters are those of the class whose name it has."""

    sample_bits, n_jobs = None, None  # that methods of ours read

    def fit(self, X, y, sample_weight=None, check_input=True):
        """Fit one of ours and take over what it found."""
        self._refuse(X)
        model = self._model(np.shape(X)[0] if sample_weight is None else _check_sample_weight(sample_weight, X).sum())
        model.set_params(sample_bits=None, tol=TOL, max_iter=MAX_EPOCHS)
        model.set_params(fit_intercept=self.fit_intercept, random_state=getattr(self, "random_state", None))
        if getattr(self, "warm_start", False):
            model.set_params(warm_start=True)
            vars(model).update(self._found())
        model.fit(X, y, sample_weight=sample_weight)
        vars(self).update({name: value for name, value in vars(model).items() if name not in model.get_params()})
        return self

    def _found(self):
        return {name: value for name, value in vars(self).items() if name not in self.get_params()}

    def _refuse(self, X):
        if sparse.issparse(X):
            pytest.skip("not applicable: sparse rows")
        if self.positive:
            pytest.skip("not applicable: positive=True")
        if np.ndim(getattr(self, "alpha", 0)) > 0:
            pytest.skip("not applicable: a penalty for each target")


class Ridge(StandIn, ZipMLRegressor):
    """Penalty by the sum of weights; it has but one solver, and reports the one asked for."""

    def __init__(
        self,
        alpha=1.0,
        *,
        fit_intercept=True,
        copy_X=True,
        max_iter=None,
        tol=1e-4,
        solver="auto",
        positive=False,
        random_state=None,
    ):
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver
        self.positive = positive
        self.random_state = random_state

    def _model(self, total):
        return ZipMLRegressor(alpha=self.alpha / total)

    @property
    def solver_(self):
        return self.solver


class RidgeClassifier(StandIn, ZipMLLSSVC):
    """C is the inverse of alpha."""

    def __init__(
        self,
        alpha=1.0,
        *,
        fit_intercept=True,
        copy_X=True,
        max_iter=None,
        tol=1e-4,
        class_weight=None,
        solver="auto",
        positive=False,
        random_state=None,
    ):
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.max_iter = max_iter
        self.tol = tol
        self.class_weight = class_weight
        self.solver = solver
        self.positive = positive
        self.random_state = random_state

    def _model(self, total):
        return ZipMLLSSVC(C=1 / self.alpha, class_weight=self.class_weight)


class LinearRegression(StandIn, ZipMLRegressor):
    """No penalty."""

    def __init__(self, *, fit_intercept=True, copy_X=True, tol=1e-6, n_jobs=None, positive=False):
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.tol = tol
        self.n_jobs = n_jobs
        self.positive = positive

    def _model(self, total):
        return ZipMLRegressor(alpha=0.0)


class ElasticNet(StandIn, ZipMLRegressor):
    """The same penalties."""

    def __init__(
        self,
        alpha=1.0,
        *,
        l1_ratio=0.5,
        fit_intercept=True,
        precompute=False,
        max_iter=1000,
        copy_X=True,
        tol=1e-4,
        warm_start=False,
        positive=False,
        random_state=None,
        selection="cyclic",
    ):
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.copy_X = copy_X
        self.tol = tol
        self.warm_start = warm_start
        self.positive = positive
        self.random_state = random_state
        self.selection = selection

    def fit(self, X, y, sample_weight=None, check_input=True):
        super().fit(X, y, sample_weight)
        self.dual_gap_ = self._dual_gap(np.asarray(X), np.asarray(y, dtype=float), sample_weight)
        return self

    def _model(self, total):
        return ZipMLRegressor(alpha=self.alpha, l1_ratio=self.l1_ratio)

    def _dual_gap(self, X, y, sample_weight):
        """The gap of the dual problem at coef_, from the rows; a number for each target."""
        weights = np.ones(len(X)) if sample_weight is None else _check_sample_weight(sample_weight, X)
        share = (weights / weights.sum())[:, None]
        targets, coef = y.reshape(len(y), -1), np.atleast_2d(self.coef_).T
        if self.fit_intercept:
            X, targets = X - (share * X).sum(axis=0), targets - (share * targets).sum(axis=0)
        error = targets - X @ coef
        l1, l2 = self.alpha * self.l1_ratio, self.alpha * (1 - self.l1_ratio)
        largest = np.abs(X.T @ (share * error) - l2 * coef).max(axis=0)
        scale = np.minimum(1, np.divide(l1, largest, out=np.ones_like(largest), where=largest > 0))
        square = (share * error**2).sum(axis=0) + l2 * (coef**2).sum(axis=0)
        cross = (share * error * targets).sum(axis=0)
        gap = (1 + scale**2) / 2 * square - scale * cross + l1 * np.abs(coef).sum(axis=0)
        return gap if y.ndim > 1 else float(gap[0])


class Lasso(ElasticNet):
    """All of the penalty l1."""

    def __init__(
        self,
        alpha=1.0,
        *,
        fit_intercept=True,
        precompute=False,
        copy_X=True,
        max_iter=1000,
        tol=1e-4,
        warm_start=False,
        positive=False,
        random_state=None,
        selection="cyclic",
    ):
        super().__init__(
            alpha,
            l1_ratio=1.0,
            fit_intercept=fit_intercept,
            precompute=precompute,
            copy_X=copy_X,
            max_iter=max_iter,
            tol=tol,
            warm_start=warm_start,
            positive=positive,
            random_state=random_state,
            selection=selection,
        )


STAND_INS = {
    "test_ridge.py": (Ridge, RidgeClassifier),
    "test_base.py": (LinearRegression,),
    "test_coordinate_descent.py": (ElasticNet, Lasso),
}


# Comparisons


def at_least(desired, atol):
    """The absolute tolerance, no finer than float32 samples allow."""
    values = np.abs(np.asarray(desired, dtype=np.float64))
    return max(atol, ATOL * max(1.0, values[np.isfinite(values)].max(initial=0)))


def assert_allclose(actual, desired, rtol=None, atol=0.0, **options):
    np.testing.assert_allclose(actual, desired, max(rtol or 0, RTOL), at_least(desired, atol), **options)


def assert_almost_equal(actual, desired, decimal=7, **options):
    assert_allclose(actual, desired, atol=1.5 * 10.0**-decimal)


def assert_array_almost_equal(actual, desired, decimal=6, **options):
    assert_allclose(actual, desired, atol=1.5 * 10.0**-decimal)


class LoosePytest(types.ModuleType):
    """pytest with an `approx` no finer than float32 samples allow."""

    def __getattr__(self, name):
        return getattr(pytest, name)

    @staticmethod
    def approx(expected, rel=None, abs=None, **options):
        return pytest.approx(expected, rel=max(rel or 0, RTOL), abs=at_least(expected, abs or 0), **options)


LOOSE = {
    "assert_allclose": assert_allclose,
    "assert_almost_equal": assert_almost_equal,
    "assert_array_almost_equal": assert_array_almost_equal,
    "pytest": LoosePytest("pytest"),
}


# The plugin


def uses(function, classes, seen=()):
    """Whether a function, or one of its module that it names, names one of the classes."""
    code, names = [function.__code__], set()
    while code:
        block = code.pop()
        names.update(block.co_names)
        code += [constant for constant in block.co_consts if isinstance(constant, types.CodeType)]
    for value in map(function.__globals__.get, names):
        if isinstance(value, type) and value in classes:
            return True
        own = isinstance(value, types.FunctionType) and value.__module__ == function.__module__
        if own and value not in seen and uses(value, classes, (*seen, function)):
            return True
    return False


def is_about(item):
    """Whether a test touches the classes under test, in its code or its parameters."""
    classes = STAND_INS[item.path.name]
    for value in item.callspec.params.values() if hasattr(item, "callspec") else ():
        if isinstance(value, classes) or (isinstance(value, type) and value in classes):
            return True
        if isinstance(value, types.FunctionType) and value.__module__ == item.module.__name__ and uses(value, classes):
            return True
    return uses(item.function, classes)


class Swap:
    """Swaps the classes when a test module is imported, and sorts out the tests that it has."""

    def __init__(self):
        self.left_out = Counter()

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector):
        if not isinstance(collector, pytest.Module):
            return (yield)
        theirs = {own.__name__: getattr(sklearn.linear_model, own.__name__) for own in STAND_INS[collector.path.name]}
        vars(sklearn.linear_model).update({own.__name__: own for own in STAND_INS[collector.path.name]})
        try:
            report = yield
            vars(collector.obj).update({name: LOOSE[name] for name in LOOSE if hasattr(collector.obj, name)})
            return report
        finally:
            vars(sklearn.linear_model).update(theirs)

    def pytest_collection_modifyitems(self, config, items):
        reasons = [DESELECTED.get(item.originalname) or (not is_about(item) and "not about them") for item in items]
        self.left_out.update(filter(None, reasons))
        config.hook.pytest_deselected(items=[item for item, reason in zip(items, reasons, strict=True) if reason])
        items[:] = [item for item, reason in zip(items, reasons, strict=True) if not reason]

    def pytest_terminal_summary(self, terminalreporter):
        for reason, count in self.left_out.most_common():
            terminalreporter.line(f"{count:>5} left out: {reason}")


def main():
    """Run the modules; pytest's exit status."""
    folder = Path(sklearn.__file__).parent / "linear_model" / "tests"
    modules = [folder / name for name in STAND_INS]
    missing = [str(path) for path in modules if not path.exists()]
    if missing:
        print(f"scikit-learn {sklearn.__version__} is installed without its tests: no {', '.join(missing)}")
        return 2
    options = ["-c", "/dev/null", "--rootdir", str(folder), "-p", "no:cacheprovider", "-q", "--tb=line", "-rf"]
    return int(pytest.main([*map(str, modules), *options, *sys.argv[1:]], plugins=[Swap()]))


if __name__ == "__main__":
    sys.exit(main())

"""Every public callable with good arguments, each of which `bad_input` replaces by values of `bad_values`."""

import inspect
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import sklearn_zipml as zipml

plt.switch_backend("agg")

ESTIMATORS = {
    "ZipMLRegressor": {"max_iter": 3, "tol": 1.0},
    "ZipMLLSSVC": {"max_iter": 3, "tol": 1.0},
    "ZipMLLogisticRegression": {"max_iter": 3, "tol": 1.0},
    "ZipMLRegressorCV": {"alphas": (0.1, 1.0), "cv": 2},
    "ZipMLLSSVCCV": {"Cs": (0.1, 1.0), "cv": 2},
    "DoubleSamplingQuantizer": {},
}
# Methods whose parameters are tried as they are; those that train also with every bad setting.
TRAINING = ("fit", "partial_fit", "fit_transform")
METHODS = (
    *TRAINING, "predict", "predict_proba", "predict_log_proba", "decision_function", "score",
    "transform", "quantize", "inverse_transform", "to_sklearn",
)  # fmt: skip
# Public parameters that are not tried, and why.
NOT_TRIED = {
    "plot": "what it takes is matplotlib's",
    "plot_kw": "what it takes is matplotlib's",
    "params": "metadata, which scikit-learn checks",
    "set_": "made by scikit-learn",
    "get_": "scikit-learn's",
}


@dataclass
class Call:
    """`subject` makes what the state of is watched; `invoke(subject, **arguments)` is the call.

    `trained` are data that are good for the subject; `files` are watched as the subject is.
    """

    name: str
    subject: object
    invoke: object
    arguments: dict
    settings: dict = field(default_factory=dict)  # arguments that the subject is made with
    files: tuple = ()

    @property
    def parameters(self):
        return [*self.settings, *self.arguments]


@cache
def data(classes=False):
    """40 rows that every estimator takes: X, y."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    y = X @ [1.0, -2.0, 0.5] + rng.standard_normal(40) / 10
    return X, (y > 0).astype(np.int64) if classes else y


@cache
def packed():
    return zipml.PackedMatrix.from_chunks(*data(), random_state=0)


def parameters_of(function):
    """Names of what it can be given by name."""
    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    return [name for name, p in inspect.signature(function).parameters.items() if p.kind in kinds and name != "self"]


def of_nothing(function, **given):
    """A Call of a function, or of a class method, of these arguments; all others are None at first."""
    defaults = {name: p.default for name, p in inspect.signature(function).parameters.items()}
    arguments = {name: given.get(name, defaults[name]) for name in parameters_of(function)}
    name = (
        function.__qualname__.replace("PackedFiles", "PackedMatrix")
        .replace("PackedCodes", "PackedMatrix")
        .replace("PackedJoins", "PackedMatrix")
        .replace("PackedBeside", "PackedMatrix")
    )
    return Call(name, lambda: None, lambda _, **bad: function(**bad), arguments)


def estimator(name, fitted, settings=None):
    """A new estimator, fitted to good data before its settings are made bad."""
    model = getattr(zipml, name)(**ESTIMATORS[name]).set_params(random_state=0)
    if fitted:
        model.fit(*data("SVC" in name or "Logistic" in name))
    return model.set_params(**settings or {})


def estimator_calls():
    """Methods of estimators with bad data, and fits with bad settings, before and after a good fit."""
    for name in ESTIMATORS:
        cls = getattr(zipml, name)
        X, y = data("SVC" in name or "Logistic" in name)
        good = {"X": X, "y": y, "sample_weight": np.ones(40), "classes": np.array([0, 1])}
        if name == "DoubleSamplingQuantizer":
            good["y"] = None  # ignored
        for method in METHODS:
            if not hasattr(cls, method):
                continue
            arguments = {key: good[key] for key in parameters_of(getattr(cls, method))}
            settings = dict.fromkeys(parameters_of(cls)) if method in TRAINING else {}
            for fitted in (False, True):

                def make(fitted=fitted, name=name, **settings):
                    return estimator(name, fitted, settings)

                def invoke(model, method=method, **arguments):
                    return getattr(model, method)(**arguments)

                yield Call(f"{'fitted' if fitted else 'new'} {name}.{method}", make, invoke, arguments, settings)


def container_calls(folder):
    """What PackedMatrix offers; the states of its pickles are the last."""
    X, y = data()
    path = Path(folder) / "packed.zml"
    packed().save(path)
    cls = zipml.PackedMatrix
    yield of_nothing(cls.from_chunks, source=X, y=y, sample_weight=np.ones(40))
    codes = np.arange(120, dtype=np.uint8).reshape(40, 3) % 4
    yield of_nothing(cls.from_codes, codes=codes, y=y)
    yield of_nothing(cls.hstack, matrices=[packed(), packed()])
    yield of_nothing(cls.vstack, matrices=[packed(), packed()])
    append = of_nothing(cls.append, path=path, source=X, y=y)
    append.files, append.subject = (path,), lambda: packed().save(path)  # which starts anew each time
    yield append
    yield of_nothing(cls.load, path=path)
    of_one = {
        "save": {"path": Path(folder) / "saved.zml"},
        "requantize": {"sample_bits": 2, "sampling": "dithered", "outliers": "none", "random_state": 0},
        "take": {"indices": np.arange(3), "axis": 0, "out": None, "mode": "raise"},
        "with_target": {"y": y},
        "with_sample_weight": {"sample_weight": np.ones(40)},
        "__getitem__": {"key": slice(3)},
    }
    for method, arguments in of_one.items():

        def invoke(one, method=method, **given):
            return getattr(one, method)(*given.values()) if method == "__getitem__" else getattr(one, method)(**given)

        yield Call(f"PackedMatrix.{method}", lambda: packed()[:], invoke, arguments)
    yield Call("PackedMatrix.__setstate__", packed, lambda _, **parts: _of_state(parts), packed().__getstate__())


def _of_state(parts):
    one = zipml.PackedMatrix.__new__(zipml.PackedMatrix)
    one.__setstate__(parts)
    return one.take(np.arange(3))


def inspection_calls():
    """Functions and displays."""
    X, y = data()
    yield of_nothing(zipml.recommend_bits, X=X, y=y, bits=[2, 4], cv=2)
    model, quantizer = estimator("ZipMLRegressor", True), estimator("DoubleSamplingQuantizer", True)
    results = zipml.recommend_bits(X, y, bits=[2, 4], cv=2).cv_results_
    drawn = (
        of_nothing(zipml.LevelsDisplay.from_values, values=X[:, 0]),
        of_nothing(zipml.LevelsDisplay.from_estimator, estimator=quantizer, X=X),
        of_nothing(zipml.ConvergenceDisplay.from_estimator, estimator=model),
        of_nothing(zipml.BitWidthCurveDisplay.from_estimator, estimator=model, X=X, y=y, bits=[2, 4], cv=2),
        of_nothing(zipml.BitWidthCurveDisplay.from_cv_results, cv_results=results),
    )
    for call in drawn:
        call.invoke = _closed(call.invoke)
        yield call


def _closed(invoke):
    """The same, without figures left behind."""

    def invoke_and_close(*subject, **given):
        try:
            return invoke(*subject, **given)
        finally:
            plt.close("all")

    return invoke_and_close


def calls(folder):
    """All of them."""
    yield from estimator_calls()
    yield from container_calls(folder)
    yield from inspection_calls()


def public_parameters():
    """(callable, parameter) of everything public that has parameters, but for NOT_TRIED."""
    found = set()
    for name in zipml.__all__:
        public = getattr(zipml, name)
        members = inspect.getmembers(public, callable) if inspect.isclass(public) else [("", public)]
        for member, function in members:
            if member.startswith("_") or not (getattr(function, "__module__", "") or "").startswith("sklearn_zipml"):
                continue
            found |= {(".".join(filter(None, (name, member))), parameter) for parameter in parameters_of(function)}
        if name in ESTIMATORS:
            found |= {(f"{name}.fit", parameter) for parameter in parameters_of(public)}
    return {
        (function, parameter)
        for function, parameter in found
        if parameter not in NOT_TRIED and not function.split(".")[-1].startswith(tuple(NOT_TRIED))
    }

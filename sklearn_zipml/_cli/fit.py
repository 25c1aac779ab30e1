"""The command fit."""

import time

import numpy as np
from sklearn.model_selection import train_test_split

from .._packed_matrix import PackedMatrix
from .._sources.vector import vector_of
from .model_file import log_loss_of, write_model


def fit(options):
    """Train on a packed file, and score the model on its rows and on those that were held out."""
    packed = PackedMatrix.load(options.file)
    if packed.target is None:
        raise ValueError(f"{options.file!r} holds no target; pack it with --target or --y.")
    task = options.task or ("regression" if packed.target.dtype.kind == "f" else "classification")
    weights = None if options.weight is None else _weights(options.weight, len(packed))
    train, test = _divided(packed, options, task)
    if weights is not None and isinstance(train[1], np.ndarray):
        weights = weights[train[1]]
    is_logistic = options.loss == "log"
    model = _model(packed, options, task)
    start = time.perf_counter()
    model.fit(train[0], sample_weight=weights)
    seconds = time.perf_counter() - start
    if options.output:
        write_model(model, task, packed.feature_names, options.output)
    measure = "r2" if task == "regression" else "accuracy"
    result = {
        "file": options.file,
        "task": task,
        "rows": len(train[0]),
        "bits": model.sample_bits_,
        "sampling": model.sampling_,
        "solver": getattr(model, "solver_", "newton"),
        "epochs": model.n_iter_,
        "seconds": round(seconds, 3),
        f"train_{measure}": round(model.score(train[0], train[0].target), 6),
        "rounding_loss": None if is_logistic else round(float(np.max(model.rounding_loss_)), 6),
    }
    if test is not None:
        result |= {"test_rows": len(test), f"test_{measure}": round(model.score(test, test.target), 6)}
        if is_logistic:
            result["test_log_loss"] = log_loss_of(test.target, model.predict_proba(test), model.classes_)
    return result | {"model": options.output}


def _model(packed, options, task):
    """The estimator that the options ask for."""
    from .._estimators.classifier import ZipMLLSSVC
    from .._estimators.logistic import ZipMLLogisticRegression
    from .._estimators.regressor import ZipMLRegressor

    settings = {
        "sample_bits": packed.sample_bits if options.bits is None else options.bits,
        "max_iter": options.max_iter,
        "tol": options.tol,
        "random_state": options.seed,
    }
    if task == "regression":
        if options.loss == "log":
            raise ValueError("--loss log is that of classes, and the target is of numbers: add --task classification.")
        return ZipMLRegressor(alpha=options.alpha, **settings)
    if options.loss == "log":
        return ZipMLLogisticRegression(C=options.C, **settings)
    return ZipMLLSSVC(C=options.C, **settings)


def _weights(path, n):
    weights = vector_of(path)
    if weights.shape != (n,):
        raise ValueError(f"--weight {path} has shape {weights.shape}; {n} rows need as many weights.")
    return weights


def _divided(packed, options, task):
    """((rows to train on, which of the file or None), rows to test on or None)."""
    if options.test is not None:
        if options.test_size is not None:
            raise ValueError("Give --test or --test-size, not both.")
        test = PackedMatrix.load(options.test)
        if test.target is None:
            raise ValueError(f"{options.test!r} holds no target; pack it with --target or --y.")
        return (packed, None), test
    if options.test_size is None:
        return (packed, None), None
    if not 0 < options.test_size < 1:
        raise ValueError(f"--test-size is the part of the rows to hold out, between 0 and 1, got {options.test_size}.")
    classes = packed.target if task == "classification" and packed.target.ndim == 1 else None
    chosen = {"test_size": options.test_size, "random_state": options.seed, "stratify": classes}
    train, test = train_test_split(np.arange(len(packed)), **chosen)
    train, test = np.sort(train), np.sort(test)
    return (packed[train], train), packed[test]

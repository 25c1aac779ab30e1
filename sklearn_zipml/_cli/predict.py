"""The commands predict and score."""

import csv
import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import accuracy_score, r2_score

from .._solvers import softmax
from .model_file import LinearModel, log_loss_of
from .rows import chunks_to_predict


def predict(options):
    """Predictions of rows, to a .npy or .csv file, or a line each on stdout."""
    path = None if options.output is None else Path(options.output)
    if path is not None and path.suffix not in (".npy", ".csv"):
        raise ValueError(f"-o {path} has to end in .npy or .csv.")
    model = LinearModel(options.model)
    if options.probabilities and not model.has_probabilities:
        raise ValueError(f"{options.model} has no probabilities: fit it with --loss log.")
    of_rows = model.probabilities if options.probabilities else model.predict
    found = (of_rows(X) for X, _ in chunks_to_predict(options, model.feature_names))
    if path is None:
        if not options.json:
            for values in found:
                csv.writer(sys.stdout, lineterminator="\n").writerows(np.reshape(values, (len(values), -1)).tolist())
            return None
        classes = {"classes": model.classes.tolist()} if options.probabilities else {}
        return {"predictions": np.concatenate(list(found)).tolist()} | classes
    values = np.concatenate(list(found))
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        names = ["prediction"] if values.ndim == 1 else [f"prediction_{k}" for k in range(values.shape[1])]
        if options.probabilities:
            names = model.classes.tolist()
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([names, *np.reshape(values, (len(values), -1)).tolist()])
    return {"model": options.model, "rows": len(values), "output": str(path)}


def score(options):
    """R², or accuracy and log loss, of a model on rows whose target is known."""
    model, targets, predicted, told = LinearModel(options.model), [], [], []
    for X, y in chunks_to_predict(options, model.feature_names):
        if y is None:
            raise ValueError("The rows have no target: name its column with --target, or a file of it with --y.")
        targets.append(np.asarray(y))
        scores = model.scores(X)
        predicted.append(model.decided(scores))
        if model.has_probabilities:
            told.append(softmax.probabilities(scores))
    y, found = np.concatenate(targets), np.concatenate(predicted)
    if model.task == "regression":
        measured = {"r2": round(float(r2_score(y, found)), 6)}
    else:
        measured = {"accuracy": round(float(accuracy_score(y, found)), 6)}
    if told:
        measured["log_loss"] = log_loss_of(y, np.concatenate(told), model.classes)
    return {"model": options.model, "rows": len(y)} | measured

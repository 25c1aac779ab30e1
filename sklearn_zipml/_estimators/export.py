"""Fitted models as scikit-learn's own linear models: the same coefficients and objective, no need of this package.

A refit of the exported object on float rows solves the objective that the model was fitted to. The regressor's, times
2W, W the sum of the weights, is that of Ridge(alpha=W alpha), and as it is that of ElasticNet. The classifier's,
divided by C/2, is that of RidgeClassifier(alpha=1/C), and by C n that of SGDClassifier(alpha=1/(C n)) on n rows.
"""

import numpy as np
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted


def plain_regressor(model):
    """The scikit-learn regressor of a fitted ZipMLRegressor; see its to_sklearn."""
    check_is_fitted(model)
    shared = {"fit_intercept": model.fit_intercept}
    if model.alpha == 0:
        plain = LinearRegression(**shared)
    elif model.l1_ratio == 0:
        total = np.unique(model._total_weight)  # one, or those of targets that had rows of their own
        alpha = model.alpha * (float(total[0]) if len(total) == 1 else model._total_weight)
        plain = Ridge(alpha=alpha, **shared)
    elif model.l1_ratio == 1:
        plain = Lasso(alpha=model.alpha, **shared)
    else:
        plain = ElasticNet(alpha=model.alpha, l1_ratio=model.l1_ratio, **shared)
    return with_coefficients(plain, model)


def searched_regressor(search):
    """The scikit-learn regressor of a fitted ZipMLRegressorCV; see its to_sklearn."""
    check_is_fitted(search)
    shared = {"fit_intercept": search.fit_intercept}
    is_penalised = np.any(np.asarray(search.alpha_) > 0)
    plain = Ridge(alpha=search._total_weight * search.alpha_, **shared) if is_penalised else LinearRegression(**shared)
    return with_coefficients(plain, search)


def plain_classifier(model):
    """The scikit-learn classifier of a fitted ZipMLLSSVC; see its to_sklearn."""
    check_is_fitted(model)
    if model.l1_ratio == 0:
        return ridge_classifier(model)
    plain = SGDClassifier(
        loss="squared_error",
        penalty="elasticnet",
        alpha=1 / (model.C * model._n_rows),
        l1_ratio=model.l1_ratio,
        fit_intercept=model.fit_intercept,
        class_weight=model.class_weight,
    )
    plain.classes_ = model.classes_.copy()
    return with_coefficients(plain, model)


def ridge_classifier(model):
    """The same decisions as a RidgeClassifier, whatever the penalty was; of a search, with the C that it chose."""
    check_is_fitted(model)
    C = model.C_ if hasattr(model, "C_") else model.C
    plain = RidgeClassifier(alpha=1 / C, fit_intercept=model.fit_intercept, class_weight=model.class_weight)
    # what its fit makes, and its predict takes the classes from
    plain._label_binarizer = LabelBinarizer(neg_label=-1, pos_label=1).fit(model.classes_)
    if not hasattr(plain, "classes_"):  # a property of it before scikit-learn 1.9
        plain.classes_ = plain._label_binarizer.classes_
    return with_coefficients(plain, model)


def logistic_regression(model):
    """The LogisticRegression of a fitted ZipMLLogisticRegression; see its to_sklearn."""
    check_is_fitted(model)
    names = ("C", "class_weight", "fit_intercept", "max_iter")
    settings = {name: getattr(model, name) for name in names}
    if model.l1_ratio > 0:
        settings |= {"l1_ratio": model.l1_ratio, "solver": "saga"}
        if LogisticRegression().penalty == "l2":  # before scikit-learn 1.8 it was what chose the penalty
            settings["penalty"] = "elasticnet"
    plain = LogisticRegression(**settings)
    plain.classes_ = model.classes_.copy()
    plain.n_iter_ = np.array([model.n_iter_], dtype=np.int32)
    return with_coefficients(plain, model)


def with_coefficients(plain, model):
    """The estimator with the fitted attributes that predictions need; copies, so that nothing is shared."""
    for name in ("coef_", "intercept_", "feature_names_in_"):
        if hasattr(model, name):
            setattr(plain, name, getattr(model, name).copy())
    plain.n_features_in_ = model.n_features_in_
    return plain

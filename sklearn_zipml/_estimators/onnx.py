"""Converters to ONNX, for skl2onnx: each model is converted as the scikit-learn object of the same coefficients."""

from sklearn.linear_model import Ridge

from .classifier import ZipMLLSSVC
from .classifier_cv import ZipMLLSSVCCV
from .export import logistic_regression, ridge_classifier, with_coefficients
from .logistic import ZipMLLogisticRegression
from .quantizer import DoubleSamplingQuantizer
from .regressor import ZipMLRegressor
from .regressor_cv import ZipMLRegressorCV


def register_onnx_converters() -> None:
    """Let skl2onnx convert the estimators of this package, alone and in pipelines and ensembles.

    Call it once in a process, before ``skl2onnx.to_onnx`` or ``convert_sklearn``. The graph is that of ``Ridge`` or
    ``RidgeClassifier`` with the same coefficients. A classifier has two outputs, labels and scores of shape
    (n_samples, n_classes): what ``decision_function`` returns, for two classes beside its negative.
    :class:`ZipMLLogisticRegression` becomes ``LogisticRegression``, with labels and probabilities.
    :class:`DoubleSamplingQuantizer` passes rows on, as its ``transform`` does.

    Returns
    -------
    None

    Raises
    ------
    ImportError
        Without skl2onnx; ``pip install 'sklearn_zipml[onnx]'`` installs it.

    Notes
    -----
    ``DoubleSamplingQuantizer(quantize_unseen=True)`` has no counterpart in ONNX, and its conversion is a
    NotImplementedError.

    Examples
    --------
    >>> import numpy as np
    >>> from skl2onnx import to_onnx
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_zipml import ZipMLRegressor, register_onnx_converters
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), ZipMLRegressor(random_state=0)).fit(X, y)
    >>> register_onnx_converters()
    >>> graph = to_onnx(model, X[:1].astype(np.float32))
    >>> [node.op_type for node in graph.graph.node]
    ['Scaler', 'LinearRegressor', 'Identity']
    """
    try:
        from skl2onnx import update_registered_converter
        from skl2onnx.common.shape_calculator import (
            calculate_linear_classifier_output_shapes,
            calculate_linear_regressor_output_shapes,
        )
    except ImportError as error:
        raise ImportError(
            "register_onnx_converters needs skl2onnx; install it with: pip install 'sklearn_zipml[onnx]'"
        ) from error

    for regressor in (ZipMLRegressor, ZipMLRegressorCV):
        update_registered_converter(
            regressor, regressor.__name__, calculate_linear_regressor_output_shapes, _convert_regressor
        )
    for classifier in (ZipMLLSSVC, ZipMLLSSVCCV):
        update_registered_converter(
            classifier,
            classifier.__name__,
            calculate_linear_classifier_output_shapes,
            _convert_classifier,
            parser=_parse_classifier,
            # what pipelines and ensembles set for any classifier; scores are raw, and an array, in any case
            options={"nocl": [True, False], "raw_scores": [True, False], "zipmap": [True, False, "columns"]},
        )
    update_registered_converter(
        ZipMLLogisticRegression,
        "ZipMLLogisticRegression",
        calculate_linear_classifier_output_shapes,
        _convert_logistic,
        parser=_parse_logistic,
        options={"nocl": [True, False], "raw_scores": [True, False], "zipmap": [True, False, "columns"]},
    )
    update_registered_converter(
        DoubleSamplingQuantizer, "ZipMLDoubleSamplingQuantizer", _quantizer_shapes, _convert_quantizer
    )


def _convert_regressor(scope, operator, container):
    _convert_as(with_coefficients(Ridge(), operator.raw_operator), {}, scope, operator, container)


def _parse_classifier(scope, model, inputs, custom_parsers=None):
    return _declared(scope, model, inputs, type(model).__name__, "scores")


def _parse_logistic(scope, model, inputs, custom_parsers=None):
    return _declared(scope, model, inputs, "ZipMLLogisticRegression", "probabilities")


def _declared(scope, model, inputs, alias, values):
    """Declare the outputs; the types and shapes of both follow from the classes."""
    from skl2onnx.common.data_types import Int64TensorType, guess_tensor_type

    operator = scope.declare_local_operator(alias, model)
    operator.inputs = inputs
    for name, kind in (("label", Int64TensorType()), (values, guess_tensor_type(inputs[0].type))):
        operator.outputs.append(scope.declare_local_variable(name, kind))
    return operator.outputs


def _convert_classifier(scope, operator, container):
    model = operator.raw_operator
    # raw scores: without, skl2onnx refuses float64 input, and declares another shape than it gives for two classes
    options = scope.get_options(model, {"nocl": False}) | {"raw_scores": True}
    _convert_as(ridge_classifier(model), options, scope, operator, container)


def _convert_logistic(scope, operator, container):
    model = operator.raw_operator
    options = scope.get_options(model, {"nocl": False, "raw_scores": False})
    _convert_as(logistic_regression(model), options, scope, operator, container)


def _convert_as(plain, options, scope, operator, container):
    """Put another model's operator in the place of this one, with the same inputs, and outputs passed on."""
    from skl2onnx import get_model_alias
    from skl2onnx.common._apply_operation import apply_identity

    inner = scope.declare_local_operator(get_model_alias(type(plain)), plain)
    for place in (scope, container):
        place.add_options(id(plain), options)
    inner.inputs = operator.inputs
    for output in operator.outputs:
        variable = scope.declare_local_variable(output.onnx_name, type=output.type)
        inner.outputs.append(variable)
        apply_identity(scope, variable.full_name, output.full_name, container)


def _quantizer_shapes(operator):
    operator.outputs[0].type = operator.inputs[0].type


def _convert_quantizer(scope, operator, container):
    from skl2onnx.common._apply_operation import apply_identity

    if operator.raw_operator.quantize_unseen:
        raise NotImplementedError(
            "DoubleSamplingQuantizer(quantize_unseen=True) rounds rows at random, which has no counterpart in ONNX. "
            "Set quantize_unseen=False: predictions are better on rows that are not rounded."
        )
    apply_identity(scope, operator.inputs[0].full_name, operator.outputs[0].full_name, container)

"""Linear models for scikit-learn trained on packed low-precision samples (ZipML, arXiv:1611.05402).

Data flows one way, and imports against it::

    _sources -> _quantization -> _storage -> _solvers -> _estimators -> _inspection
    array or    levels, codes    packed      objective,  parameters,    scores and
    chunks                       tiles       epochs      coefficients   pictures

``_kernels`` binds the C code of ``csrc``, which all of them stand on; ``PackedMatrix`` is the packed rows' public face.
"""

from ._estimators.classifier import ZipMLLSSVC
from ._estimators.classifier_cv import ZipMLLSSVCCV
from ._estimators.logistic import ZipMLLogisticRegression
from ._estimators.onnx import register_onnx_converters
from ._estimators.quantizer import DoubleSamplingQuantizer
from ._estimators.regressor import ZipMLRegressor
from ._estimators.regressor_cv import ZipMLRegressorCV
from ._inspection.bit_width_curve import BitWidthCurveDisplay
from ._inspection.convergence_display import ConvergenceDisplay
from ._inspection.levels_display import LevelsDisplay
from ._inspection.recommend_bits import recommend_bits
from ._kernels.dispatch import show_versions
from ._packed_matrix import PackedMatrix
from ._version import __version__ as __version__
from ._warnings import RoundingWarning

__all__ = [
    "BitWidthCurveDisplay",
    "ConvergenceDisplay",
    "DoubleSamplingQuantizer",
    "LevelsDisplay",
    "PackedMatrix",
    "RoundingWarning",
    "ZipMLLSSVC",
    "ZipMLLSSVCCV",
    "ZipMLLogisticRegression",
    "ZipMLRegressor",
    "ZipMLRegressorCV",
    "recommend_bits",
    "register_onnx_converters",
    "show_versions",
]

# Pickles, skops files and messages name the public place of a class, whatever file it is in.
for _name in __all__:
    globals()[_name].__module__ = __name__
del _name

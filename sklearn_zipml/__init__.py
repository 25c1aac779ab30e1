"""Linear models for scikit-learn trained on packed low-precision samples (ZipML, arXiv:1611.05402).

Data flows one way; each step is a file::

    array -> levels -> codes -> packed tiles -> passes -> coefficients
             |         |        |               |         |
             _levels   _encoder _packed_matrix  _loops    _solver, _base
             csrc/encode_levels.h csrc/tile.h    csrc/kernels_*.c
                       csrc/encode.c            csrc/vector_functions.h
"""

from ._bit_width_curve import BitWidthCurveDisplay
from ._classifier import ZipMLLSSVC
from ._convergence_display import ConvergenceDisplay
from ._dispatch import show_versions
from ._levels_display import LevelsDisplay
from ._onnx import register_onnx_converters
from ._packed_matrix import PackedMatrix
from ._quantizer import DoubleSamplingQuantizer
from ._recommend_bits import recommend_bits
from ._regressor import ZipMLRegressor

__version__ = "0.1.0.dev0"
__all__ = [
    "BitWidthCurveDisplay",
    "ConvergenceDisplay",
    "DoubleSamplingQuantizer",
    "LevelsDisplay",
    "PackedMatrix",
    "ZipMLLSSVC",
    "ZipMLRegressor",
    "recommend_bits",
    "register_onnx_converters",
    "show_versions",
]

# Pickles, skops files and messages name the public place of a class, whatever file it is in.
for _name in __all__:
    globals()[_name].__module__ = __name__
del _name

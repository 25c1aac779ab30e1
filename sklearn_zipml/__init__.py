__version__ = "0.1.0.dev0"
from ._packed_matrix import PackedMatrix

"""The public container of packed rows."""

from .matrix import PackedMatrix, Samples, matrix_of, readable_bytes

__all__ = ["PackedMatrix", "Samples", "matrix_of", "readable_bytes"]

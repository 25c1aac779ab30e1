"""The public container of packed rows."""

from .matrix import PackedMatrix, matrix_of, readable_bytes

__all__ = ["PackedMatrix", "matrix_of", "readable_bytes"]

"""The public container of packed rows."""

from .matrix import _ARRAYS, FORMAT, PackedMatrix, _restore, check_target, readable_bytes

__all__ = ["FORMAT", "_ARRAYS", "PackedMatrix", "_restore", "check_target", "readable_bytes"]

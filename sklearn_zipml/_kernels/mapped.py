"""Arrays that lie in a mapped file, which has to stay as long as it was: what is read behind its end kills the process.

The system tells of a file that was cut only by the signal SIGBUS, which a library cannot catch. So every pass looks
before it reads, and again every few milliseconds.
"""

import mmap

import numpy as np


class Mapping:
    """A mapping of a file, and how long that has to be.

    Parameters
    ----------
    array : numpy.memmap
    """

    __slots__ = ("_mapping", "end", "name")

    def __init__(self, array):
        self._mapping, self.name = array._mmap, array.filename
        self.end = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY + len(self._mapping)

    def require_whole(self):
        """Raise ValueError if the file was cut. It may have been replaced: a mapping is of the file, not the name."""
        size = self._mapping.size()
        if size < self.end:
            raise ValueError(
                f"The file {self.name!r} was cut to {size} bytes while a PackedMatrix had {self.end} of it mapped: "
                "rows are lost. Replace such a file as a whole (save and append do), or read it with load(mmap=False)."
            )


def mapping_of(array):
    """The Mapping that an array lies in, or None."""
    while isinstance(array, (np.ndarray, memoryview)):
        if getattr(array, "_mmap", None) is not None:
            return Mapping(array)
        array = array.obj if isinstance(array, memoryview) else array.base
    return None


def require_whole(array):
    """Raise ValueError if the array lies in a mapped file that was cut."""
    mapping = mapping_of(array)
    if mapping is not None:
        mapping.require_whole()

"""What tells a file from another of its name: a mapped matrix goes to other processes by the name of its file."""

import os
import stat
import zlib
from typing import NamedTuple

import numpy as np

HEADER_BYTES = 64


class MappedFile(NamedTuple):
    """A file as it was when it was mapped; crc32 is that of its first bytes, where the checksums of all else hang."""

    name: str
    device: int
    inode: int
    size: int
    modified: int
    crc32: int

    @classmethod
    def of(cls, file):
        """That of an open file, as numpy.memmap will call it."""
        status = os.fstat(file.fileno())
        file.seek(0)
        crc = zlib.crc32(file.read(HEADER_BYTES))
        name = os.path.abspath(os.fsdecode(file.name))
        return cls(name, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, crc)

    def is_there(self):
        """Whether its name is still that of this file, and it was not written to."""
        try:
            if not stat.S_ISREG(os.stat(self.name).st_mode):
                return False
            with open(self.name, "rb") as file:
                return MappedFile.of(file) == self
        except OSError:
            return False


def nameless(array):
    """The same memory as an array in which joblib finds no file, and so sends what it holds."""
    if not isinstance(array, np.memmap):
        return array
    return np.frombuffer(memoryview(array.reshape(-1).view(np.uint8)), np.uint8).view(array.dtype).reshape(array.shape)


def received(parts, file):
    """The file that the parts of a pickle map, or None if they are bytes.

    Raises
    ------
    ValueError
        If they map a file that came under its name after it was sent.
    """
    if file is None:
        return None
    file = MappedFile(*file)
    if not any(getattr(part, "filename", None) == file.name for part in parts.values()):
        return None
    if not file.is_there():
        raise ValueError(
            f"The file {file.name!r} was replaced or changed while a PackedMatrix that maps it was on its way to "
            "another process, which is told its name. Leave the file as it is meanwhile, or read it with "
            "load(mmap=False)."
        )
    return file

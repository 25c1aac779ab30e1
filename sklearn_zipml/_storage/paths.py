"""Which places files may be read from and written to: regular files, named by strings and paths."""

import os
import stat
from pathlib import Path

MOST_NAME = 200  # bytes of a name that a temporary one may repeat: systems allow 255, and more is added to it


def checked_path(path):
    """The path, as os.fspath gives it.

    Raises
    ------
    TypeError
        If it is no path: of an integer `open` would take the file that has this number in the process.
    """
    try:
        return os.fspath(path)
    except TypeError:
        raise TypeError(f"path={path!r} is of type {type(path).__name__}; give a string or a pathlib.Path.") from None


def readable(path):
    """The path of a regular file; others, as pipes, might never come to an end, or to a beginning."""
    path = checked_path(path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError(f"path={path!r} is not a regular file, and only those can be loaded.")
    return path


def writable(path):
    """The regular file to write, behind links; there may be none yet.

    A folder, device, pipe or socket would be replaced by a file, so it is refused.
    """
    path = Path(os.fsdecode(checked_path(path)))
    # the folder of the file itself, so that a renaming stays inside one file system
    target = path.resolve() if path.is_symlink() else path
    if target.exists() and not target.is_file():
        raise ValueError(
            f"path={str(path)!r} is not a regular file, and is not replaced; give the name of another one."
        )
    return target


def temporary_name(name, token):
    """A name beside it that tells whose temporary file this is, and is short enough."""
    return f".{os.fsdecode(os.fsencode(name)[:MOST_NAME])}-{token}.tmp"

"""Which kernels run: list them, choose among them, and show what a bug report needs to say about the machine."""

import platform
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy
import scipy
import sklearn

from . import active

available_kernels = active.available_kernels


@contextmanager
def kernels(name):
    """Let all passes that start inside the context run with the kernels of that name, in every thread.

    Parameters
    ----------
    name : str, one of `available_kernels()`
    """
    before = active.kernel_name()
    active.use_kernels(name)
    try:
        yield
    finally:
        active.use_kernels(before)


def cpu_name():
    """Name of the processor as the operating system knows it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    return platform.processor() or platform.machine()


def show_versions() -> None:
    """Print versions, processor and kernels, for bug reports.

    Examples
    --------
    >>> import sklearn_zipml
    >>> sklearn_zipml.show_versions()  # doctest: +ELLIPSIS
    sklearn_zipml: ...
    python: ...
    kernels: ...
    """
    from .._version import __version__

    lines = {
        "sklearn_zipml": __version__,
        "python": sys.version.replace("\n", " "),
        "platform": platform.platform(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "CPU": cpu_name(),
        "kernels": f"{active.kernel_name()} (available: {', '.join(available_kernels())})",
    }
    for name, value in lines.items():
        print(f"{name + ':':15s}{value}")

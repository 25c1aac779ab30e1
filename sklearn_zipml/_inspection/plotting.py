"""What the displays share: matplotlib when it is needed, styles, and units."""

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support


def axes(display, ax):
    """The given axes, or new ones; ImportError without matplotlib."""
    check_matplotlib_support(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1] if ax is None else ax


def style(artist, defaults, given):
    """Keywords for an artist class: the caller's over the defaults, whichever alias they use."""
    from matplotlib.cbook import normalize_kwargs

    return normalize_kwargs(defaults, artist) | normalize_kwargs(given, artist)


def byte_unit(nbytes):
    """Size and name of the unit in which the largest of some numbers of bytes is easy to read."""
    power = int(min(4, np.log2(max(1.0, np.max(nbytes))) // 10))
    return 1024.0**power, ("B", "KiB", "MiB", "GiB", "TiB")[power]


def plain(ax):
    """Leave out the lines that carry nothing."""
    ax.spines[["top", "right"]].set_visible(False)
    return ax

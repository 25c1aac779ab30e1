"""A progress bar over the passes of a source, where tqdm is installed and someone watches."""

import sys
from contextlib import contextmanager


@contextmanager
def progress(source, show, passes=2):
    """Count the rows that a source gives, each once, in a bar on stderr with speed and time left.

    Parameters
    ----------
    source : Source, changed for the time of the context
    show : bool
    passes : int, how often the source will be read
    """
    bar = _bar(source.n_rows) if show else None
    if bar is None:
        yield
        return
    read = source.read

    def counted():
        for chunk in read():
            yield chunk
            bar.update(len(chunk.X) if passes == 1 else len(chunk.X) / passes)

    source.read = counted
    try:
        yield
    finally:
        source.read = read
        bar.close()


def _bar(total):
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, unit="row", unit_scale=True, desc="packing", dynamic_ncols=True)

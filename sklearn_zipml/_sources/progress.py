"""A progress bar over the passes of a source, where tqdm is installed and someone watches."""

import sys
from contextlib import contextmanager


@contextmanager
def progress_bar(source, show, passes=2, needed=False):
    """Count the rows that a source gives, each once, in a bar on stderr with speed and time left.

    Parameters
    ----------
    source : Source, changed for the time of the context
    show : bool
    passes : int, how often the source will be read
    needed : bool, whether it is an error if there can be none

    Raises
    ------
    ImportError
        If it is needed, and tqdm is missing.
    """
    bar = _bar(source.n_rows, needed) if show else None
    if bar is None:
        yield
        return
    read, advance = source.read, source.advance

    def counted():
        for chunk in read():
            yield chunk
            bar.update(len(chunk.X) if passes == 1 else len(chunk.X) / passes)

    source.read, source.advance = counted, lambda share: bar.update(share * source.n_rows)
    try:
        yield
    finally:
        source.read, source.advance = read, advance
        bar.close()


def _bar(total, needed):
    if not needed and not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError as error:
        if needed:
            raise ImportError("progress=True needs tqdm: pip install 'sklearn_zipml[cli]'") from error
        return None
    return tqdm(total=total, unit="row", unit_scale=True, desc="packing", dynamic_ncols=True)

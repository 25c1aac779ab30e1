"""The bar over the passes of a source."""

import sys

import numpy as np
import pytest

from sklearn_zipml._sources.progress import progress_bar
from sklearn_zipml._sources.source import open_source


def test_progress(monkeypatch, capsys):
    """A bar counts every row once, though they are read twice, where someone watches; it is left out without tqdm."""
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    source = open_source([np.ones((30, 2))])
    source.n_rows = 30
    with progress_bar(source, True):
        for _ in range(2):
            list(source.chunks())
    assert "30/30" in capsys.readouterr().err.replace("30.0", "30")
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with progress_bar(source, True):
        list(source.chunks())
    assert capsys.readouterr().err == ""

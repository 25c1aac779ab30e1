"""What is no regular file is neither read nor replaced, and says so."""

import os
import socket
import stat

import numpy as np
import pytest

from sklearn_zipml import PackedMatrix

X = np.random.default_rng(0).standard_normal((100, 4), dtype=np.float32)
needs_fifos = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")


@pytest.fixture
def packed():
    return PackedMatrix.from_chunks(X, random_state=0)


@needs_fifos
@pytest.mark.parametrize("kind", ["fifo", "socket", "folder", "link"])
def test_only_regular_files_are_replaced_and_read(tmp_path, packed, kind):
    path = tmp_path / "there"
    listener = socket.socket(socket.AF_UNIX)
    if kind == "socket":
        listener.bind(str(path))
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(tmp_path / "fifo" if kind == "link" else path)
    if kind == "link":
        path.symlink_to(tmp_path / "fifo")
    before = stat.S_IFMT(path.lstat().st_mode)
    for attempt in (packed.save, PackedMatrix.load, lambda path: PackedMatrix.append(path, X)):
        with pytest.raises(ValueError, match="not a regular file"):
            attempt(path)
    listener.close()
    assert stat.S_IFMT(path.lstat().st_mode) == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("path", [3, None, 1.5, ["a"]])
def test_what_is_no_path(packed, path):
    for attempt in (packed.save, PackedMatrix.load, lambda path: PackedMatrix.append(path, X)):
        with pytest.raises(TypeError, match=r"path=.* is of type .*; give a string"):
            attempt(path)


def test_the_longest_name(tmp_path, packed):
    path = tmp_path / ("ü" * 127)  # 254 bytes of the 255 that systems allow
    packed.save(path)
    assert np.array_equal(np.asarray(PackedMatrix.load(path)), np.asarray(packed))
    assert os.listdir(tmp_path) == [path.name]


def test_nothing_to_append(tmp_path, packed):
    path = tmp_path / "rows.zq"
    packed.save(path)
    before = path.read_bytes()
    for source in (X[:0], iter([])):
        with pytest.raises(ValueError, match="no rows"):
            PackedMatrix.append(path, source)
    assert path.read_bytes() == before

"""The one gate into the container: states of any origin are refused, or are containers that can be used."""

import copy
import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor
from sklearn_zipml._packed_matrix.matrix import FORMAT, _restore
from sklearn_zipml._storage.packed_rows import rows_of

KINDS = [(1, "naive"), (2, "double"), (4, "compensated"), (6, "double"), (7, "compensated"), (8, "nearest")]


def packed(bits=4, sampling="compensated", n=130, d=9):
    """A container with everything."""
    X = np.random.default_rng(0).standard_normal((n, d))
    settings = {"sample_bits": bits, "sampling": sampling, "random_state": 0}
    matrix = PackedMatrix.from_chunks(X, X.sum(axis=1), **settings)
    return PackedMatrix(**rows_of(matrix).parts() | {"feature_names": list("abcdefghi"[:d])})


def ways_in(parts):
    """Every way from parts to a container but that of files, which `test_file` goes."""
    yield lambda: PackedMatrix(**parts)
    yield lambda: _restore(FORMAT, parts)
    state = parts | {"format": FORMAT}
    yield lambda: PackedMatrix.__new__(PackedMatrix).__setstate__(state)


HOSTILE = {
    "used, far beyond the table": {"used": np.full(9, 65535, np.uint16)},
    "used, none": {"used": np.zeros(9, np.uint16)},
    "used, 17 of 16": {"used": np.full(9, 17, np.uint16)},
    "noise, wide": {"noise": np.zeros((9, 5000), np.float16)},
    "noise, negative": {"noise": np.full((9, 16), -1, np.float16)},
    "noise, none": {"noise": np.zeros((9, 0), np.float16)},
    "noise, not finite": {"noise": np.full((9, 16), np.inf, np.float16)},
    "table, short": {"table": np.zeros((9, 16), np.uint8)},
    "table, descending": {"table": np.tile(np.arange(16, dtype=np.uint8)[::-1], (16, 1))},
    "table, flat": {"table": np.zeros(256, np.uint8)},
    "levels where the table has them": {"grid_levels": np.zeros((9, 16), np.uint8)},
    "codes, fewer tiles": {"codes": np.zeros((2, 512), np.uint8)},
    "codes, shorter tiles": {"codes": np.zeros((3, 511), np.uint8)},
    "codes, other type": {"codes": np.zeros((3, 512), np.int8)},
    "codes, a list": {"codes": [[0] * 512] * 3},
    "codes, missing": {"codes": None},
    "step, zero": {"step": np.zeros(9)},
    "step, single precision": {"step": np.ones(9, np.float32)},
    "offset, not finite": {"offset": np.full(9, np.nan)},
    "mean, beyond the grid": {"mean": np.full(9, 256, np.float32)},
    "mean, not a number": {"mean": np.full(9, np.nan, np.float32)},
    "deviation, negative": {"deviation": np.full(9, -1, np.float32)},
    "variance, infinite": {"variance": np.full(9, np.inf, np.float32)},
    "coincidence, no probability": {"coincidence": np.array([1.5])},
    "coincidence, not a number": {"coincidence": np.array([np.nan])},
    "coincidence, none": {"coincidence": np.zeros(0)},
    "shape, more rows": {"shape": (10**9, 9)},
    "shape, more columns": {"shape": (130, 10)},
    "shape, no columns": {"shape": (130, 0)},
    "shape, negative": {"shape": (-130, 9)},
    "shape, huge": {"shape": (130, 1 << 62)},
    "shape, not whole": {"shape": (130.0, 9)},
    "shape, three": {"shape": (130, 9, 1)},
    "bits, none": {"sample_bits": 0},
    "bits, many": {"sample_bits": 200},
    "bits, others": {"sample_bits": 2},
    "bits, true": {"sample_bits": True},
    "bits, text": {"sample_bits": "4"},
    "draws, huge": {"n_draws": 1 << 40},
    "draws, of another sampling": {"n_draws": 3},
    "sampling, unknown": {"sampling": "triple"},
    "sampling, a list": {"sampling": ["naive"]},
    "levels, unknown": {"levels": "none"},
    "dtype, objects": {"dtype": "object"},
    "dtype, foreign bytes": {"dtype": np.dtype(">f8")},
    "row order, of other rows": {"row_seed": ((131, 1),)},
    "row order, negative part": {"row_seed": ((131, 1), (-1, 1))},
    "row order, key too large": {"row_seed": ((130, 1 << 64),)},
    "row order, no key": {"row_seed": ((130,),)},
    "row order, none": {"row_seed": ()},
    "row list, twice": {"row_list": np.zeros(130, np.int32)},
    "row list, outside": {"row_list": np.arange(1, 131, dtype=np.int32)},
    "row list, negative": {"row_list": np.arange(-1, 129, dtype=np.int32)},
    "row list, short": {"row_list": np.arange(64, dtype=np.int32)},
    "row list, wide": {"row_list": np.arange(130)},
    "target, short": {"target": np.zeros(129)},
    "target, deep": {"target": np.zeros((130, 1, 1))},
    "target, objects": {"target": np.array([None] * 130)},
    "target, no text": {"target": np.full(130, 0xFFFFFFFF, np.uint32).view("U1")},
    "names, few": {"feature_names": ("a",)},
    "names, numbers": {"feature_names": tuple(range(9))},
    "names, text": {"feature_names": "abcdefghi"},
    "parts that there are not": {"colour": np.zeros(9)},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_parts(name):
    """One ValueError on every way in; C code overran its stack before."""
    parts = rows_of(packed()).parts() | HOSTILE[name]
    for way in ways_in(parts):
        with pytest.raises(ValueError, match=r"not the parts of a PackedMatrix: .*it"):
            way()


@pytest.mark.parametrize("version", [None, "4", 4.0, [4]])
def test_states_of_no_format(version):
    """Are refused, as those of later formats are."""
    matrix = packed()
    with pytest.raises(ValueError, match="it is of no format"):
        _restore(version, rows_of(matrix).parts())
    state = matrix.__getstate__() | {"format": version}
    with pytest.raises(ValueError, match="it is of no format"):
        PackedMatrix.__new__(PackedMatrix).__setstate__(state)
    with pytest.raises(ValueError, match="sample_bits is missing"):
        _restore(FORMAT, {"shape": (1, 1), "dtype": "float32"})


@pytest.mark.parametrize(("bits", "sampling"), KINDS)
@pytest.mark.parametrize("rows", [slice(None), slice(0), slice(20, None)])
def test_good_parts(bits, sampling, rows):
    """Whatever packing makes comes through, the empty and those that list their order too."""
    matrix = packed(bits, sampling, 1000)[rows]
    for way in ways_in(rows_of(matrix).parts()):
        made = way() or matrix
        assert made == matrix
        np.testing.assert_array_equal(made.target, matrix.target)
    assert pickle.loads(pickle.dumps(matrix)) == copy.deepcopy(matrix) == matrix


def test_arrays_of_others_are_copied():
    """What a caller gives may be changed by the caller; the container stays what it is."""
    parts = rows_of(packed()).parts()
    given = {name: part.copy() if isinstance(part, np.ndarray) else part for name, part in parts.items()}
    view = given["codes"][:]
    view.flags.writeable = False  # but what it is a view of is not
    matrix, before = PackedMatrix(**given | {"codes": view}), packed()
    for part in given.values():
        if isinstance(part, np.ndarray):
            part[...] = 0
    assert matrix == before
    np.testing.assert_array_equal(matrix.target, before.target)
    np.testing.assert_array_equal(rows_of(matrix).mean, rows_of(before).mean)


def test_targets_of_others_are_copied():
    """`with_target` keeps what it was given."""
    y = np.arange(130.0)
    matrix = packed().with_target(y)
    y[:] = -1
    np.testing.assert_array_equal(matrix.target, np.arange(130.0))
    with pytest.raises(ValueError, match="read-only"):
        matrix.target[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        matrix.target.flags.writeable = True


def test_pickles_with_buffers_of_others():
    """Out-of-band buffers stay the caller's."""
    y = np.arange(130.0)
    buffers = []
    pickled = pickle.dumps(packed().with_target(y), protocol=5, buffer_callback=buffers.append)
    theirs = [bytearray(buffer.raw()) for buffer in buffers]
    matrix = pickle.loads(pickled, buffers=theirs)
    for buffer in theirs:
        buffer[:] = bytes(len(buffer))
    assert matrix == packed()
    np.testing.assert_array_equal(matrix.target, y)


NUMBERS = st.sampled_from([-1, 0, 1, 2, 9, 16, 64, 255, 256, 2**16, 2**31, 2**63, 2**64, True, None, 0.5, "x", (), [1]])
DTYPES = ["u1", "u2", "i4", "f2", "f4", "f8", "O", "U1"]


@st.composite
def mutations(draw, parts):
    """A few parts changed: numbers, shapes, types, and values that are right in shape and type."""
    changed = dict(parts)
    for name in draw(st.lists(st.sampled_from(sorted(parts)), min_size=1, max_size=3)):
        part = parts[name]
        if not isinstance(part, np.ndarray) or draw(st.integers(0, 3)) == 0:
            one = draw(NUMBERS)
            changed[name] = draw(st.sampled_from([one, (one, 9), (130, one), ((130, one),), ((one, 5), (130, 5))]))
        elif draw(st.booleans()):
            shape = draw(st.lists(st.integers(0, 20), max_size=3))
            changed[name] = np.zeros(shape, draw(st.sampled_from(DTYPES)))
        else:
            raw = np.frombuffer(draw(st.binary(min_size=1, max_size=40)), np.uint8)
            changed[name] = np.resize(raw, part.nbytes).view(part.dtype).reshape(part.shape)
    return changed


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_states(data):
    """One ValueError, or a container that decodes, is taken from, requantized and trained on."""
    kind = data.draw(st.sampled_from(KINDS))
    parts = data.draw(mutations(rows_of(packed(*kind)).parts()))
    try:
        matrix = _restore(FORMAT, parts)
    except ValueError as error:
        assert "not the parts of a PackedMatrix" in str(error)
        return
    with np.errstate(all="ignore"):
        assert np.asarray(matrix).shape == matrix.shape
        for bits in range(1, matrix.sample_bits):
            if (1 << bits) > matrix.n_draws:
                matrix[::2].requantize(bits, random_state=0)
        assert pickle.loads(pickle.dumps(matrix)).shape == matrix.shape


CUT = """
import os, pickle, sys, warnings
import numpy as np
from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor
from sklearn_zipml._solvers import solver
from sklearn_zipml._storage.packed_rows import rows_of

warnings.simplefilter("ignore")
path = sys.argv[1]
X = np.random.default_rng(0).standard_normal((20000, 100), dtype=np.float32)
good = PackedMatrix.from_chunks(X, X[:, 0] + X[:, 1], sample_bits=8, random_state=0)
model = ZipMLRegressor(8, tol=0, max_iter=40, random_state=0).fit(good[:1000])

def while_it_fits(packed):
    def cut(*args):
        os.truncate(path, 4096)
        return False
    run, solver.run_saga = solver.run_saga, lambda *args: run(*args[:4], cut)
    try:
        model.fit(packed)
    finally:
        solver.run_saga = run

uses = {
    "fit": model.fit,
    "while it fits": while_it_fits,
    "target": lambda packed: packed.target.sum(),
    "decode": np.asarray,
    "rows": lambda packed: np.asarray(packed[5:700]),
    "few rows": lambda packed: np.asarray(packed[[1, 2]]),
    "requantize": lambda packed: packed.requantize(4, random_state=0),
    "requantize a part": lambda packed: packed[:9000].requantize(4, random_state=0),
    "predict": model.predict,
    "save": lambda packed: packed.save(path + "2"),
    "pickle": pickle.dumps,
}
for name, use in uses.items():
    good.save(path)
    packed = PackedMatrix.load(path)
    if name != "while it fits":
        os.truncate(path, 4096)
    try:
        use(packed)
        print(name, "was done")
    except ValueError as error:
        print(name, error, flush=True)
"""


def test_mapped_files_that_are_cut(tmp_path):
    """End in an error that tells what happened, not by SIGBUS."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", CUT, str(tmp_path / "data.zq")], capture_output=True, text=True, timeout=200
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 11
    assert all("was cut to 4096 bytes while a PackedMatrix had" in line for line in lines), done.stdout
    assert not (tmp_path / "data.zq2").exists()


def test_fits_of_a_state(tmp_path):
    """A container from a state trains as the one it was."""
    matrix = packed()
    models = [ZipMLRegressor(random_state=0).fit(rows) for rows in (matrix, _restore(FORMAT, rows_of(matrix).parts()))]
    np.testing.assert_array_equal(models[0].coef_, models[1].coef_)


@pytest.mark.parametrize("part", [{"used": np.full(9, 65535, np.uint16)}, {"offset": np.zeros(4)}])
def test_hostile_levels_of_a_quantizer(part):
    """Its state may come from anywhere too: what rounds checks the levels it is given."""
    X = np.random.default_rng(0).standard_normal((130, 9))
    quantizer = DoubleSamplingQuantizer(random_state=0).fit(X)
    quantizer._grid = dataclasses.replace(quantizer._grid, **part)
    with pytest.raises((ValueError, IndexError)):
        quantizer.quantize(X)


def test_attributes_of_a_quantizer_are_its_own():
    """Whoever writes to them changes no matrix that it packed, and no code to come."""
    X = np.random.default_rng(0).standard_normal((130, 9))
    quantizer = DoubleSamplingQuantizer(random_state=0)
    packed = quantizer.fit_transform(X)
    before = np.asarray(packed)
    quantizer.offset_[:], quantizer.step_[:] = 99, 7
    for levels in quantizer.levels_:
        levels[:] = 5
    np.testing.assert_array_equal(np.asarray(packed), before)
    np.testing.assert_array_equal(np.asarray(quantizer.quantize(X)), before)

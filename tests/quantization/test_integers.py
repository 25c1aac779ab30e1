"""Integers and booleans: where levels hold all that a column can be, nothing is lost, and nothing is drawn."""

import ml_dtypes
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from packing import assert_same_parts, pack

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor
from sklearn_zipml._kernels import dispatch
from sklearn_zipml._kernels import integers as kernels
from sklearn_zipml._quantization.integers import ranges
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage.blocks import is_narrow
from sklearn_zipml._storage.grid import grid_of
from sklearn_zipml._storage.packed_rows import rows_of
from sklearn_zipml._storage.tiles import aligned_tiles

N = 300
# the lowest and highest values of their kinds among them
RANGES = {
    "bool": (0, 1),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**50), 2**50),
}
KINDS = [("compensated", bits, 2) for bits in range(1, 9)]
KINDS += [("double", 2, 2), ("double", 4, 2), ("double", 8, 2), ("double", 8, 3), ("naive", 4, 2), ("nearest", 8, 2)]


def integers(dtype, span, d=35, n=N, seed=0):
    """Columns of a span, which both ends of the dtype's range and a constant column are among."""
    low, high = RANGES[np.dtype(dtype).name]
    rng = np.random.default_rng(seed)
    start = rng.integers(low, high - min(span, high - low) + 1, d)
    start[0], start[1] = low, high - min(span, high - low)
    X = start + rng.integers(0, min(span, high - low) + 1, size=(n, d))
    X[0], X[1], X[:, 2] = start, start + min(span, high - low), start[2]
    return X.astype(dtype)


@pytest.mark.parametrize("dtype", RANGES)
@pytest.mark.parametrize(("sampling", "bits", "n_draws"), KINDS)
def test_nothing_is_lost(dtype, sampling, bits, n_draws):
    """Whatever is rare, which a sample might not have; on any kernels the same, and as floats would be packed."""
    scheme = Scheme.of(bits, sampling, "optimal", n_draws)
    X = integers(dtype, scheme.n_levels - 1)
    packed = {}
    for name in dispatch.available_kernels():
        with dispatch.kernels(name):
            packed[name] = pack(X, scheme, 0)
    one = packed["portable"]
    np.testing.assert_array_equal(np.asarray(one), X.astype(np.float64))
    assert not one.rounding_variance.any()
    for other in packed.values():
        assert_same_parts(other, one)
    as_floats = DoubleSamplingQuantizer(bits, sampling=sampling, n_draws=n_draws, random_state=0).fit(X)
    assert as_floats.quantize(X.astype(np.float64)) == as_floats.quantize(X)


@pytest.mark.parametrize("levels", ["optimal", "uniform"])
def test_a_rare_value(levels):
    """One in 60,000 rows, which no sample has: the level is there."""
    X = np.zeros((60_000, 3), dtype=np.uint8)
    X[:, 1] = np.arange(60_000) % 2
    X[41_234, :2] = 2
    packed = DoubleSamplingQuantizer(2, levels=levels, random_state=0).fit_transform(X)
    np.testing.assert_array_equal(np.asarray(packed), X)
    np.testing.assert_array_equal(np.asarray(PackedMatrix.from_chunks(X, sample_bits=2, levels=levels)), X)


def test_columns_that_do_not_fit():
    """Are rounded as ever, unbiased; the others beside them are exact."""
    rng = np.random.default_rng(0)
    X = np.c_[rng.integers(0, 200, 5000), rng.integers(0, 4, 5000), rng.integers(-3, 1, 5000)].astype(np.int16)
    packed = pack(X, Scheme.of(2, "compensated", "optimal"), 0)
    values = np.asarray(packed)
    np.testing.assert_array_equal(values[:, 1:], X[:, 1:])
    assert packed.rounding_variance[0] > 0 and not packed.rounding_variance[1:].any()
    error = values[:, 0] - X[:, 0]
    assert abs(error.mean()) < 5 * error.std() / np.sqrt(5000)


@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("dtype", ["int8", "uint16"])
def test_any_way_in(dtype, bits, tmp_path):
    """Arrays in any order of memory, rows of them, maps, chunks, Arrow tables and frames: the same bits."""
    X = integers(dtype, 3, d=19)
    quantizer = DoubleSamplingQuantizer(bits, random_state=0)
    packed = quantizer.fit_transform(X)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    wide = np.zeros((N, 40), dtype)
    wide[:, 1:39:2] = X
    for rows in (np.asfortranarray(X), mapped, X[::-1][::-1], wide[:, 1:39:2]):
        assert quantizer.fit_transform(rows) == packed
    names = [f"c{j}" for j in range(19)]
    frame = pd.DataFrame(X, columns=names)
    table = pa.table(dict(zip(names, np.ascontiguousarray(X.T), strict=True)))
    sources = [X, mapped, tmp_path / "x.npy", [X[:70], X[70:71], X[71:]], lambda: iter([X[:200], X[200:]])]
    for source in [*sources, frame, table, pl.from_pandas(frame)]:
        again = PackedMatrix.from_chunks(source, sample_bits=bits, random_state=0)
        assert again == packed
        assert_same_parts(again, packed)
    rows = np.flatnonzero(np.arange(N) % 3)
    assert pack(X, Scheme.of(bits, "compensated", "optimal"), 0, rows=rows) == pack(
        X[rows], Scheme.of(bits, "compensated", "optimal"), 0
    )


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("dtype", ["int8", "uint16"])
def test_rows_gathered_and_in_turn(dtype, bits, tmp_path):
    """Rows in memory are fetched in the order of slots, others written to theirs: the same tiles."""
    X = integers(dtype, (1 << bits) - 1, n=N + 5)
    np.save(tmp_path / "x.npy", X)
    whole = pack(X, Scheme.of(bits, "compensated", "optimal"), 0)
    swapped = X.astype(np.dtype(dtype).newbyteorder(">" if np.little_endian else "<"))
    for other in (
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        np.asfortranarray(X),
        swapped,
        np.repeat(X, 2, axis=0)[::2],
    ):
        assert_same_parts(pack(other, Scheme.of(bits, "compensated", "optimal"), 0), whole)


def test_frames_of_several_kinds():
    """Booleans beside integers, and integers that may be missing, stay narrow."""
    frame = pd.DataFrame(
        {"a": [True, False, True], "b": np.array([1, 2, 3], np.int8), "c": pd.array([0, 1, 2], "UInt8")}
    )
    packed = PackedMatrix.from_chunks(frame, sample_bits=2, random_state=0)
    np.testing.assert_array_equal(np.asarray(packed), frame.to_numpy(float))
    assert not packed.rounding_variance.any()


@pytest.mark.parametrize("outliers", ["none", "auto"])
def test_values_outside_go_to_the_ends(outliers):
    """As floats do, whatever the type of new rows; or they are kept apart, as they are."""
    X = integers("int8", 3, d=5)
    quantizer = DoubleSamplingQuantizer(2, outliers=outliers, random_state=0).fit(X)
    ends = X.astype(int).min(axis=0), X.astype(int).max(axis=0)
    for dtype in ("int8", "int16", "int32", "float64"):
        rng = np.random.default_rng(1)
        new = np.clip(rng.integers(-400, 400, size=(500, 5)), *RANGES["int8"]).astype(dtype)
        expected = np.clip(new, *ends) if outliers == "none" else np.where(ends[0] < ends[1], new, ends[0])
        np.testing.assert_array_equal(np.asarray(quantizer.quantize(new)), expected)


@pytest.mark.parametrize("bits", [2, 8])
def test_chunks_of_several_kinds(bits):
    """Integers, then floats: moments are those of all rows."""
    X = integers("uint8", 3, d=7)
    quantizer = DoubleSamplingQuantizer(bits, random_state=0).fit(X)
    low = X.min(axis=0)
    more = low + (X[:100] - low) * 0.9
    both = PackedMatrix.from_chunks([X, more.astype(np.float32)], quantizer=quantizer)
    plain = PackedMatrix.from_chunks([X.astype(np.float32), more.astype(np.float32)], quantizer=quantizer)
    np.testing.assert_allclose(np.asarray(both), np.asarray(plain), rtol=1e-6)
    for name in ("mean", "deviation", "rounding_variance", "noise"):
        np.testing.assert_allclose(getattr(rows_of(both), name), getattr(rows_of(plain), name), rtol=1e-3, atol=1e-6)


def test_append(tmp_path):
    """To a file of integers, more of them and floats."""
    X = integers("uint8", 3, d=7, n=150)
    PackedMatrix.from_chunks(X, sample_bits=2, random_state=0).save(tmp_path / "x.zq")
    longer = PackedMatrix.append(tmp_path / "x.zq", X[:77], random_state=1)
    np.testing.assert_array_equal(np.asarray(longer), np.vstack([X, X[:77]]))
    positions = (np.asarray(longer) - rows_of(longer).offset) / rows_of(longer).step
    np.testing.assert_allclose(rows_of(longer).mean, positions.mean(axis=0), rtol=1e-6)


def test_models_of_integers():
    """Are those of the same numbers as floats, and of the columns as they are."""
    X = integers("int8", 3, d=9)
    y = X.astype(float) @ np.arange(9) + np.random.default_rng(0).normal(size=N)
    model = ZipMLRegressor(2, random_state=0).fit(X, y)
    again = ZipMLRegressor(2, random_state=0).fit(X.astype(float), y)
    np.testing.assert_allclose(model.coef_, again.coef_, rtol=1e-6)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_statistics_are_counted_when_asked_for(bits):
    """Of codes, not of a sample."""
    X = integers("uint8", 2**bits - 1, d=5)
    rows = rows_of(pack(X, Scheme.of(bits, "compensated", "optimal"), 0))
    assert "mean" not in rows.known
    grid = grid_of(rows)
    np.testing.assert_allclose(rows.mean * grid.step + grid.offset, X.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(rows.deviation * grid.step, X.std(axis=0), rtol=1e-5)


@pytest.mark.parametrize("kernels_name", dispatch.available_kernels())
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("d", [1, 7, 16, 17, 33, 47, 2085])
def test_fields(kernels_name, bits, d):
    """Of bytes, in both orders, become the codes they are, whatever stands behind the last column."""
    rng = np.random.default_rng(d)
    codes = rng.integers(0, 2**bits, size=(130, -(-d * bits // 8) * 8 // bits)).astype(np.uint8)
    slots = rng.permutation(130)
    expected, out = aligned_tiles(130, d, bits), {}
    with dispatch.kernels("portable"):
        low, top = np.zeros(d, np.uint8), np.full(d, 2**bits - 1, np.uint8)
        kernels.encode_integers(codes[:, :d], (low, top, 1, False), bits, expected, slots)
    for high_first in (True, False):
        fields = codes.reshape(130, -1, 8 // bits)
        shifts = np.arange(0, 8, bits)[:: -1 if high_first else 1].astype(np.uint8)
        packed = np.bitwise_or.reduce(fields << shifts, axis=2).astype(np.uint8)
        if bits == 1:
            np.testing.assert_array_equal(
                packed, np.packbits(codes, axis=1, bitorder="big" if high_first else "little")
            )
        out = aligned_tiles(130, d, bits)
        with dispatch.kernels(kernels_name):
            kernels.encode_fields(packed, d, bits, high_first, out, slots)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("kernels_name", dispatch.available_kernels())
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("d", [3, 64, 97, 1100])
def test_pairs_of_bits_and_parts_of_columns(kernels_name, bits, d):
    """Two bits of four rows to a byte, a block of columns at a time, as integers of whole rows; some are missing."""
    rng = np.random.default_rng(d)
    codes, slots = rng.integers(0, 4, size=(36, d)).astype(np.uint8), rng.permutation(36)
    low, top = rng.integers(0, 2, size=d).astype(np.uint8), rng.integers(1, 3, size=d).astype(np.uint8)
    place, after = rng.integers(0, 3, size=d).astype(np.uint8), rng.integers(0, 3, size=d).astype(np.uint8)
    expected, out = aligned_tiles(36, d, bits), aligned_tiles(36, d, bits)
    with dispatch.kernels("portable"):
        kernels.encode_integers(codes, (low, top, 1, False), bits, expected, slots, (3, place, after))
    value = np.clip(codes.astype(int) - low, 0, top)
    value = np.where(codes == 3, place, value + (value >= after))
    packed = codes[0::4] | codes[1::4] << 2 | codes[2::4] << 4 | codes[3::4] << 6
    with dispatch.kernels(kernels_name):
        for first in range(0, d, 64):
            some = slice(first, min(d, first + 64))
            for pair in range(4):
                rows, columns = np.ascontiguousarray(slots[pair::4]), (low[some], top[some], 1, False)
                missing = 3, place[some], after[some]
                kernels.encode_integers(packed[:, some], columns, bits, out, rows, missing, (first, d), pair)
    np.testing.assert_array_equal(out, expected)
    if bits == 8:  # a byte each: column 4 k + c of a row is where it stands
        rows = out.reshape(-1)[: 36 * bytes_of_row(d)].reshape(36, -1)
        assert sorted(rows[slots[0]][:d]) == sorted(value[0])


def bytes_of_row(d):
    """Bytes of a packed row of 8 bits."""
    return -(-d // 16) * 16


def test_kernels_check_sizes():
    """What does not fit is refused before anything is written."""
    codes, out, slots = np.zeros((4, 3), np.uint8), aligned_tiles(4, 3, 2), np.arange(4)
    ends = np.zeros(3, np.uint8)
    for call in (
        lambda: kernels.encode_integers(codes, (ends[:2], ends, 1, False), 2, out, slots),
        lambda: kernels.encode_integers(codes, (ends, ends, 1, False), 5, out, slots),
        lambda: kernels.encode_integers(codes, (ends, ends, 1, False), 2, out, slots[:3]),
        lambda: kernels.encode_integers(codes, (ends, ends, 1, False), 2, out, slots + 61),
        lambda: kernels.encode_integers(np.asfortranarray(codes), (ends, ends, 1, False), 2, out, slots),
        lambda: kernels.encode_integers(codes, (ends, ends, 1, False), 2, out, slots, None, (16, 64)),
        lambda: kernels.encode_integers(codes, (ends, ends, 1, False), 2, out, slots, None, (32, 34)),
        lambda: kernels.encode_integers(codes, (ends, ends, 1, False), 2, out, slots, None, (0, 64)),
        lambda: kernels.encode_integers(codes, (ends, ends, 1, False), 2, out, slots, None, None, 4),
        lambda: kernels.encode_fields(codes, 13, 2, True, out, slots),
        lambda: kernels.encode_fields(codes, 3, 8, True, out, slots),
        lambda: kernels.encode_fields(codes, 3, 2, True, out, slots - 1),
        lambda: kernels.widen_halves(np.zeros(3, np.uint16), np.zeros(2, np.uint32)),
    ):
        with pytest.raises(
            ValueError,
            match=r"no (such|room)|of another|fewer|not contiguous|there are not|without a slot|inside a word",
        ):
            call()


@pytest.mark.parametrize("kernels_name", dispatch.available_kernels())
def test_all_halves(kernels_name):
    """Every float16, infinity and NaN among them, is NumPy's float32; in any number of them."""
    halves = np.arange(1 << 16, dtype=np.uint16)
    for some in (halves, halves[:3], halves[31743:31760], halves[:0]):
        out = np.full(len(some), 7, dtype=np.uint32)
        with dispatch.kernels(kernels_name):
            kernels.widen_halves(some, out)
        np.testing.assert_array_equal(out.view(np.float32), some.view(np.float16).astype(np.float32))


def test_floats_of_16_bits():
    """Rows of float16 and bfloat16 are those of the float32 they stand for, in any order of memory."""
    scheme = Scheme.of(4, "compensated", "optimal")
    for dtype in (np.float16, ml_dtypes.bfloat16):
        X = np.random.default_rng(0).normal(size=(200, 21)).astype(dtype)
        expected = np.asarray(pack(X.astype(np.float32), scheme, 0))
        for rows in (X, np.asfortranarray(X), X[::-1][::-1]):
            np.testing.assert_allclose(np.asarray(pack(rows, scheme, 0)), expected, rtol=1e-6)
    assert not is_narrow(np.dtype(np.float16))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8"])
def test_ranges_that_reach_both_ends(dtype):
    """Of all rows, though what has been read of them tells it already; of one column that does not, too."""
    rng, (low, high) = np.random.default_rng(0), RANGES[dtype]
    X = rng.integers(low, high + 1, size=(20_000, 40)).astype(dtype)
    X[:, 7] = low
    X[-1, 7] = high
    for given, of_seven in ((X, high), (X[:-1], low)):
        parts = ranges(given, None, 1)
        assert (np.min([part[0] for part in parts], axis=0) == low).all()
        expected = np.full(40, float(high))
        expected[7] = of_seven
        np.testing.assert_array_equal(np.max([part[1] for part in parts], axis=0), expected)
    packed = DoubleSamplingQuantizer(1 if dtype == "bool" else 8, random_state=0, n_jobs=3).fit_transform(X)
    np.testing.assert_array_equal(np.asarray(packed), X)

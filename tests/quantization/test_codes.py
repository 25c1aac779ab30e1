"""Codes that exist already come back as the values they stand for, exactly."""

import numpy as np
import pytest
from packing import assert_same_parts
from sklearn.linear_model import Ridge

from sklearn_zipml import PackedMatrix, ZipMLRegressor
from sklearn_zipml._kernels import dispatch
from sklearn_zipml._storage.packed_rows import rows_of

N = 200


def fields_of(codes, bits, bitorder):
    """Codes in the bytes of rows."""
    padded = np.zeros((len(codes), -(-codes.shape[1] * bits // 8) * 8 // bits), dtype=np.uint8)
    padded[:, : codes.shape[1]] = codes
    shifts = np.arange(0, 8, bits)[:: -1 if bitorder == "big" else 1].astype(np.uint8)
    return np.bitwise_or.reduce(padded.reshape(len(codes), -1, 8 // bits) << shifts, axis=2).astype(np.uint8)


@pytest.mark.parametrize("kernels", dispatch.available_kernels())
@pytest.mark.parametrize("bitorder", ["big", "little"])
@pytest.mark.parametrize(("bits", "sample_bits"), [(1, None), (1, 2), (2, None), (2, 8), (4, 4), (4, 5), (4, 8)])
@pytest.mark.parametrize("d", [1, 16, 37])
def test_fields(kernels, bitorder, bits, sample_bits, d):
    """Of either order, at their own width and wider ones."""
    codes = np.random.default_rng(0).integers(0, 2**bits, size=(N, d))
    fields = fields_of(codes, bits, bitorder)
    with dispatch.kernels(kernels):
        packed = PackedMatrix.from_codes(
            fields,
            bits=bits,
            bitorder=bitorder,
            n_features=d,
            scale=0.5,
            offset=-2,
            sample_bits=sample_bits,
            random_state=0,
        )
    assert packed.sample_bits == (sample_bits or bits) and not packed.rounding_variance.any()
    np.testing.assert_array_equal(np.asarray(packed), codes * 0.5 - 2)
    plain = PackedMatrix.from_codes(codes, scale=0.5, offset=-2, sample_bits=packed.sample_bits, random_state=0)
    np.testing.assert_array_equal(np.asarray(plain), np.asarray(packed))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_fields_are_the_same_wherever_they_are(bits, tmp_path):
    """In memory, in a mapped file, in parts of larger rows and in another order, with any threads."""
    fields = np.random.default_rng(0).integers(0, 256, size=(5000, 11), dtype=np.uint8)
    np.save(tmp_path / "fields.npy", fields)
    wide = np.zeros((5000, 17), dtype=np.uint8)
    wide[:, 3:14] = fields
    mapped = np.load(tmp_path / "fields.npy", mmap_mode="r")
    settings = {"bits": bits, "n_features": 88 // bits - 1, "random_state": 0}
    expected = PackedMatrix.from_codes(fields, n_jobs=1, **settings)
    for given in (fields, mapped, wide[:, 3:14], np.asfortranarray(fields)):
        assert_same_parts(PackedMatrix.from_codes(given, n_jobs=2, **settings), expected)


def test_embeddings():
    """Of sentence-transformers: ubinary, binary, uint8 and int8 with starts and steps."""
    X = np.random.default_rng(0).normal(size=(N, 64)).astype(np.float32)
    signs = np.where(X > 0, 1.0, -1.0)
    ubinary = np.packbits(X > 0, axis=-1)
    binary = (ubinary.astype(np.int16) - 128).astype(np.int8)
    for codes in (ubinary, binary):
        np.testing.assert_array_equal(PackedMatrix.from_codes(codes, bits=1, values=[-1, 1]), signs)
    starts, steps = X.min(axis=0), (X.max(axis=0) - X.min(axis=0)) / 255
    int8 = ((X - starts) / steps - 128).astype(np.int8)
    packed = PackedMatrix.from_codes(int8, scale=steps, offset=starts + 128 * steps.astype(float))
    np.testing.assert_allclose(packed, starts + steps * (int8.astype(float) + 128), rtol=1e-6, atol=1e-6)
    assert packed.sample_bits == 8


def test_zero_points():
    """Of torch's tensors quantized per channel: scale * (code - zero point)."""
    rng = np.random.default_rng(0)
    codes, scale, zero = rng.integers(0, 16, (N, 9), dtype=np.uint8), rng.uniform(0.1, 1, 9), rng.integers(0, 16, 9)
    packed = PackedMatrix.from_codes(codes, scale=scale, offset=-scale * zero)
    np.testing.assert_allclose(packed, scale * (codes.astype(float) - zero), atol=1e-12)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64, np.uint64])
@pytest.mark.parametrize("sample_bits", [None, 3, 8])
def test_integers(dtype, sample_bits):
    """Of any type, wherever their range begins."""
    rng = np.random.default_rng(0)
    start = 0 if dtype is bool else rng.integers(0, 100, 7) - (50 if np.iinfo(dtype).min < 0 else 0)
    codes = (start + rng.integers(0, 2, size=(N, 7))).astype(dtype)
    packed = PackedMatrix.from_codes(codes, sample_bits=sample_bits, random_state=0)
    assert packed.sample_bits == (sample_bits or 1)
    np.testing.assert_array_equal(np.asarray(packed), codes.astype(float))
    assert_same_parts(
        packed, PackedMatrix.from_codes(np.asfortranarray(codes), sample_bits=sample_bits, random_state=0)
    )


TABLES = {
    "ascending": [0.0, 1.0, 2.0, 3.0],
    "descending": [1.0, 0.5, 0.0, -0.5],
    "in no order": [0.0, 3.0, 1.0, 2.0],
    "uneven": [-1.0, 0.0, 0.25, 10.0],
    "equal ones": [0.0, 1.0, 1.0, 0.0],
    "one": [4.0, 4.0, 4.0, 4.0],
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("sample_bits", [None, 2, 6, 8])
@pytest.mark.parametrize("bits", [None, 2])
def test_tables(name, sample_bits, bits):
    """For all columns and for each, whatever the order of values."""
    rng = np.random.default_rng(0)
    codes, table = rng.integers(0, 4, size=(N, 11)).astype(np.uint8), np.array(TABLES[name])
    given = {"codes": fields_of(codes, 2, "big"), "bits": 2, "n_features": 11} if bits else {"codes": codes}
    packed = PackedMatrix.from_codes(**given, values=table, sample_bits=sample_bits)
    np.testing.assert_allclose(packed, table[codes], atol=1e-12)
    own = np.array([np.roll(table, j) * (j + 1) for j in range(11)])
    packed = PackedMatrix.from_codes(**given, values=own, sample_bits=sample_bits)
    np.testing.assert_allclose(packed, own[np.arange(11), codes], rtol=1e-12, atol=1e-12)
    narrow = packed.requantize(1, random_state=0)
    assert narrow.shape == packed.shape


def test_targets_names_and_files(tmp_path):
    """Come along, and are kept."""
    codes = np.random.default_rng(0).integers(0, 3, size=(N, 3))
    packed = PackedMatrix.from_codes(codes, y=np.arange(N), feature_names=list("abc"), random_state=0)
    packed.save(tmp_path / "codes.zq")
    again = PackedMatrix.load(tmp_path / "codes.zq")
    assert again == packed and again.feature_names == ("a", "b", "c")
    np.testing.assert_array_equal(again.target, np.arange(N))
    assert PackedMatrix.from_codes(codes, random_state=0, n_jobs=2) == PackedMatrix.from_codes(codes, random_state=0)
    np.save(tmp_path / "codes.npy", codes.astype(np.uint8))
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    assert PackedMatrix.from_codes(mapped) == packed


def test_models():
    """Are those of the values; columns that do not change among them."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, size=(500, 20)).astype(np.uint8)
    X[:, 3] = 1
    y = X.astype(float) @ rng.normal(size=20) + rng.normal(size=500)
    packed = PackedMatrix.from_codes(np.packbits(X, axis=1), bits=1, n_features=20, values=[-1, 1])
    model = ZipMLRegressor(alpha=0.1, tol=1e-10, random_state=0).fit(packed, y)
    ridge = Ridge(alpha=50).fit(np.where(X, 1.0, -1.0), y)
    np.testing.assert_allclose(model.coef_, ridge.coef_, atol=1e-6)
    assert rows_of(packed).used[3] == 2


@pytest.mark.parametrize("kernels", dispatch.available_kernels())
@pytest.mark.parametrize("sample_bits", [None, 2, 3, 4, 6, 8])
@pytest.mark.parametrize(("dtype", "missing"), [(np.int8, -9), (np.uint8, 255), (np.int16, -1), (np.int64, -9)])
def test_missing_codes(kernels, sample_bits, dtype, missing):
    """Of genotypes become the means of their variants, the others stay what they are."""
    rng = np.random.default_rng(0)
    genotypes, absent = rng.integers(0, 3, size=(N, 23)), rng.uniform(size=(N, 23)) < 0.1
    genotypes[:, 4], absent[:, 5] = 2, False
    codes = np.where(absent, missing, genotypes).astype(dtype)
    with dispatch.kernels(kernels):
        packed = PackedMatrix.from_codes(
            codes, scale=2.0, missing_code=missing, sample_bits=sample_bits, random_state=0
        )
    assert packed.sample_bits == (sample_bits or 2)
    np.testing.assert_array_equal(packed.missing_count, absent.sum(axis=0))
    values = np.asarray(packed)
    np.testing.assert_allclose(values[~absent], 2.0 * genotypes[~absent], atol=1e-12)
    means = 2.0 * np.nanmean(np.where(absent, np.nan, genotypes), axis=0)
    reach = 4 / 254 if packed.sample_bits <= 4 else 1.0
    np.testing.assert_allclose(values[absent], np.broadcast_to(means, values.shape)[absent], atol=reach)
    if packed.sample_bits <= 4 and dtype == np.uint8:
        floats = PackedMatrix.from_chunks(
            np.where(absent, np.nan, 2.0 * genotypes), sample_bits=packed.sample_bits, missing="mean", random_state=0
        )
        np.testing.assert_allclose(np.asarray(floats), values, atol=1e-12)


def test_missing_fields():
    """Of 2 bits, the last one missing; and none missing at all."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, size=(N, 9))
    for bits in (2, 4):
        fields = fields_of(codes, bits, "little")
        settings = {"bits": bits, "bitorder": "little", "n_features": 9, "random_state": 0}
        packed = PackedMatrix.from_codes(fields, missing_code=3, **settings)
        assert packed.sample_bits == 2
        np.testing.assert_array_equal(packed.missing_count, (codes == 3).sum(axis=0))
        np.testing.assert_allclose(np.asarray(packed)[codes < 3], codes[codes < 3], atol=1e-12)
    whole = PackedMatrix.from_codes(codes, missing_code=-1, random_state=0)
    assert whole.sample_bits == 2 and not whole.missing_count.any()
    np.testing.assert_array_equal(np.asarray(whole), codes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codes": np.zeros((3, 2))}, "codes has dtype float64"),
        ({"codes": np.zeros(3, int)}, "two-dimensional"),
        ({"codes": np.ma.masked_equal([[0], [1]], 1)}, "codes has masked values"),
        ({"codes": np.zeros((0, 2), int)}, "at least one row"),
        ({"codes": np.zeros((3, 2), int), "n_features": 3}, "n_features=3 but codes has 2"),
        ({"codes": np.zeros((3, 2), np.uint8), "bits": 3}, "Got 3 instead"),
        ({"codes": np.zeros((3, 2), np.uint8), "bits": 1, "bitorder": "both"}, "Got .both. instead"),
        ({"codes": np.zeros((3, 2), int), "bits": 1}, "are in bytes, uint8"),
        ({"codes": np.zeros((3, 2), np.uint8), "bits": 1, "n_features": 8}, "n_features=8 does not fit"),
        ({"codes": np.array([[0], [256]])}, "Column 0 has codes from 0 to 256"),
        ({"codes": np.array([[0], [5]]), "sample_bits": 2}, "sample_bits=2 holds 4 levels, and column 0 needs 6"),
        ({"codes": np.array([[0], [1]]), "sample_bits": 9}, "sample_bits"),
        ({"codes": np.array([[0], [1]]), "scale": -1}, "scale has to be positive"),
        ({"codes": np.array([[0], [1]]), "scale": [1, 2]}, "scale has shape"),
        ({"codes": np.array([[0], [1]]), "offset": np.nan}, "offset has shape"),
        ({"codes": np.array([[0], [2]]), "values": [1, 2]}, "values has 2 entries, and column 0 has codes from 0 to 2"),
        ({"codes": np.array([[0], [2]]), "values": [0, 1, np.pi]}, "not whole steps"),
        ({"codes": np.array([[0], [1]]), "values": [0, np.inf]}, "finite numbers"),
        ({"codes": np.array([[0], [1]]), "values": [0, 1], "scale": 2}, "not both"),
        ({"codes": np.array([[0], [1]]), "feature_names": ["a", "b"]}, "2 names for 1 columns"),
        ({"codes": np.array([[7], [7]]), "missing_code": 7}, "Column 0 of X has no values"),
        (
            {"codes": np.array([[0], [1], [2]]), "missing_code": 2, "sample_bits": 1},
            "all of which the codes of column 0 take",
        ),
        ({"codes": np.array([[0], [1], [2]]), "missing_code": 2, "values": [1, 0]}, "values in equal steps"),
        ({"codes": np.array([[0], [1]]), "missing_code": 1.5}, "missing_code"),
        ({"codes": np.array([[0], [1]]), "y": [1, 2, 3]}, "does not fit 2 rows"),
    ],
)
def test_what_is_refused(arguments, message):
    """By name, with what there is."""
    with pytest.raises(ValueError, match=message):
        PackedMatrix.from_codes(**arguments)

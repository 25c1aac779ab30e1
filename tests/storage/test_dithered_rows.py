"""Containers of codes with known dither: seeds of rows and multipliers of columns go wherever these go."""

import pickle

import numpy as np
import pytest
from dithering import ERROR_RATE, rows, scheme
from packing import assert_same_parts, pack

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix
from sklearn_zipml._storage.packed_rows import rows_of
from sklearn_zipml._storage.statistics import weighted

BITS = pytest.mark.parametrize("bits", [2, 3])


@BITS
def test_rows_and_columns(bits):
    packed = pack(rows(1000, 37), scheme(bits=bits), 0)
    values, rng = np.asarray(packed), np.random.default_rng(0)
    for some in (np.arange(0, 1000, 3), rng.permutation(1000)[:600], rng.integers(0, 1000, 700), np.arange(5)):
        taken = packed[some]
        np.testing.assert_array_equal(np.asarray(taken), values[some])
        np.testing.assert_array_equal(np.asarray(taken[:, [3, 36, 0, 3]]), values[some][:, [3, 36, 0, 3]])
        own, steps = rows_of(taken), (values[some] - rows_of(packed).offset) / rows_of(packed).step
        np.testing.assert_allclose(own.mean, steps.mean(axis=0), rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(own.deviation, steps.std(axis=0), rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(np.asarray(np.vstack([packed, packed[:99]])), np.vstack([values, values[:99]]))
    both = np.hstack([packed[:, :5], packed[:, 3:]])
    np.testing.assert_array_equal(np.asarray(both), np.hstack([values[:, :5], values[:, 3:]]))
    assert_same_parts(pickle.loads(pickle.dumps(both)), both)


@BITS
@pytest.mark.parametrize("with_weights", [False, True])
def test_statistics(with_weights, bits):
    """Mean, deviation and noise of some rows, weighted or not."""
    X = rows(3000, 12)
    packed = pack(X, scheme(bits=bits), 0)
    own, chosen = rows_of(packed), np.random.default_rng(0).permutation(3000)[:1500]
    part = rows_of(packed[chosen])
    g = part.tiles.positions(0, part.tiles.n_tiles).astype(np.float64)
    weights = np.random.default_rng(1).random(1500) if with_weights else None
    mean, deviation, noise = weighted(part, weights)
    np.testing.assert_allclose(mean, np.average(g, axis=0, weights=weights), rtol=1e-9)
    square = np.average((g - mean) ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(deviation, np.sqrt(square), rtol=1e-6, atol=1e-6)
    error = (np.asarray(packed[chosen]) - X[chosen]) / own.step
    slot_order = part.order.rows()
    expected = np.average(error[slot_order] ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(noise, expected, rtol=0.12, atol=1e-9)


@BITS
def test_chunks_and_files(tmp_path, bits):
    """Chunks are packed as the whole; files come back and are appended to; damaged tables are refused."""
    X, y = rows(1500, 21), np.arange(1500.0)
    fitted = DoubleSamplingQuantizer(bits, sampling="dithered", random_state=0).fit(X)
    whole = fitted.quantize(X)
    chunked = PackedMatrix.from_chunks(
        lambda: ((X[k : k + 400], y[k : k + 400]) for k in range(0, 1500, 400)),
        sample_bits=bits,
        sampling="dithered",
        random_state=0,
    )
    assert chunked.sampling == "dithered"
    decoded = np.asarray(chunked)
    assert (((decoded - X) ** 2).mean(axis=0) <= 1.2 * whole.rounding_variance + 1e-9).all()
    chunked.save(tmp_path / "some.zq")
    loaded = PackedMatrix.load(tmp_path / "some.zq", verify=True)
    assert_same_parts(loaded, chunked)
    PackedMatrix.append(tmp_path / "some.zq", X[:77], y[:77], random_state=1)
    longer = PackedMatrix.load(tmp_path / "some.zq")
    np.testing.assert_array_equal(np.asarray(longer)[:1500], decoded)
    error = np.asarray(longer)[1500:] - X[:77]
    assert (np.abs(error) <= 260 * rows_of(longer).step).all()
    assert abs((error.sum(axis=0) / np.sqrt(77 * whole.rounding_variance + 1e-12)).max()) < 6


@pytest.mark.parametrize(
    "change", ["multiplier", "not a rung", "lowest not 0", "first rung", "less than before", "two of a plain code"]
)
def test_damaged_tables(change):
    """What no packing makes is refused, for kernels and statistics do not expect it."""
    parts = rows_of(pack(rows(300, 6), scheme(), 0)).parts()
    table = np.array(parts["table"])
    assert len(set(table[0, :4])) > 1 and (table[2, :16] == np.repeat(table[2, :16:4], 4)).all()
    place, value = {
        "multiplier": ((0, 16), table[0, 16] & 254),
        "not a rung": ((0, 9), table[0, 9] + 1),
        "lowest not 0": ((0, slice(16)), table[0, :16] + 4),
        "first rung": ((0, slice(1, 16, 4)), table[0, 1:16:4] + 1),
        "less than before": ((0, 5), table[0, 1] - 4),
        "two of a plain code": ((2, 6), table[2, 6] + 4),
    }[change]
    PackedMatrix(**parts)
    table[place] = value
    with pytest.raises(ValueError, match="its table is none of codes with known dither"):
        PackedMatrix(**parts | {"table": table})


@pytest.mark.parametrize("change", ["one less", "odd", "equal", "not the first"])
def test_damaged_positions(change):
    """The same of 3 bits, whose positions have rungs for their means."""
    parts = rows_of(pack(rows(300, 6), scheme(bits=3), 0)).parts()
    table, used = np.array(parts["table"]), np.array(parts["used"])
    PackedMatrix(**parts)
    assert used[0] == 16
    if change == "one less":
        used[0] = 15
    elif change == "odd":
        table[0, 15] += 1
    elif change == "equal":
        table[0, 1] = table[0, 2]
    else:
        table[0, 0] = 2
    with pytest.raises(ValueError, match="its table is none of codes with known dither"):
        PackedMatrix(**parts | {"table": table, "used": used})


@BITS
def test_requantizing(bits):
    """To 1 bit from what 2 or 3 bits stand for, unbiased."""
    X = rows(400, 12)
    packed = pack(X, scheme(bits=bits), 0)
    values, draws = np.asarray(packed), 200
    made = [packed.requantize(1, random_state=k) for k in range(draws)]
    assert made[0].sample_bits == 1 and made[0].sampling == "dithered"
    total, rate = sum(np.asarray(one) - values for one in made), np.log(2 * X.size / ERROR_RATE)
    low, high = (rows_of(made[0]).offset + rows_of(made[0]).step * end for end in (0, rows_of(made[0]).top))
    variance, gap = np.maximum((high - values) * (values - low), 0), high - low
    # thresholds have 16 bits
    assert (np.abs(total) <= np.sqrt(2 * draws * variance * rate) + gap * (rate / 3 + draws / 32768)).all()
    own = np.mean([((np.asarray(one) - X) ** 2).mean(axis=0) for one in made], axis=0)
    told = np.mean([one.rounding_variance for one in made], axis=0)
    np.testing.assert_allclose(told, own, rtol=0.05, atol=1e-9)

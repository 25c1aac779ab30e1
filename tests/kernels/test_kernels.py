"""Every instruction set gives the portable kernels' integers and floats, bit for bit."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn_zipml._kernels.requantize import Requantizer

from sklearn_zipml._kernels import active as active_kernels
from sklearn_zipml._kernels import columns as column_kernels
from sklearn_zipml._kernels import dispatch, passes
from sklearn_zipml._kernels import encoder as encoder_kernels
from sklearn_zipml._kernels import epochs as epoch_kernels
from sklearn_zipml._kernels import row_order as order_kernels
from sklearn_zipml._kernels import testing as kernel_hooks
from sklearn_zipml._kernels import tiles as kernels
from sklearn_zipml._scheme import Scheme

OTHERS = [name for name in dispatch.available_kernels() if name != "portable"]
RANGES = [(first, last) for first in range(4) for last in range(first + 1, 5)]
WIDTHS = [1, 2, 4, 8]

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(params=OTHERS or [pytest.param("portable", marks=pytest.mark.skip("nothing to compare"))])
def name(request):
    """Kernels that are not the portable ones."""
    return request.param


def random_tile(rng, width, columns):
    """Bytes of a tile and a decode table, the extreme levels among them."""
    tile = rng.integers(0, 256, kernels.tile_bytes(columns, width), dtype=np.uint8)
    table = rng.choice(np.array([0, 1, 77, 128, 254, 255], dtype=np.uint8), columns << width) if width < 8 else b""
    return tile, np.frombuffer(bytes(table), dtype=np.uint8)


def positions_of(width, tile, table, columns):
    """Grid positions (64, columns) by the other road, the decoder."""
    return kernels.Tiles(tile[None], table, 64, columns, width).positions(0, 1).astype(np.int64)


@pytest.mark.parametrize("columns", [16, 32, 48, 208, 1040])
@pytest.mark.parametrize("n_digits", [1, 2])
@pytest.mark.parametrize("width", WIDTHS)
def test_dot_and_gradient_of_codes(name, width, n_digits, columns):
    rng = np.random.default_rng(width * columns + n_digits)
    tile, table = random_tile(rng, width, columns)
    positions = positions_of(width, tile, table, columns)
    model = rng.integers(-128, 128, (n_digits, columns), dtype=np.int8)
    residual = rng.integers(-128, 128, (n_digits, 64), dtype=np.int8)
    for first, last in RANGES:
        rows = slice(16 * first, 16 * last)
        expected = np.zeros((n_digits, 64), dtype=np.int32)
        expected[:, rows] = model.astype(np.int64) @ positions[rows].T
        for which in (name, "portable"):
            assert np.array_equal(kernel_hooks.dot(which, width, tile, table, model, first, last), expected)
        expected = residual[:, rows].astype(np.int64) @ positions[rows]
        for which in (name, "portable"):
            found = kernel_hooks.gradient(which, width, tile, table, residual, first, last, columns)
            assert np.array_equal(found, expected)


@pytest.mark.parametrize("width", WIDTHS)
def test_accumulators_at_their_bounds(name, width):
    columns = 65536
    tile = np.full(kernels.tile_bytes(columns, width), 255, dtype=np.uint8)
    table = np.full(columns << width if width < 8 else 0, 255, dtype=np.uint8)
    for plane in (-128, 127):
        model = np.full((2, columns), plane, dtype=np.int8)
        products = kernel_hooks.dot(name, width, tile, table, model, 0, 4)
        assert np.all(products == 255 * plane * columns)
        residual = np.full((2, 64), plane, dtype=np.int8)
        sums = kernel_hooks.gradient(name, width, tile, table, residual, 0, 4, columns)
        assert np.all(sums == 255 * plane * 64)


def test_float_tiles(name):
    rng = np.random.default_rng(0)
    tile, model = rng.normal(size=(208, 64)).astype(np.float32), rng.normal(size=208).astype(np.float32)
    residual = rng.normal(size=64).astype(np.float32)
    for first, last in RANGES:
        for hook, vector in ((kernel_hooks.dot_float, model), (kernel_hooks.gradient_float, residual)):
            assert np.array_equal(hook(name, tile, vector, first, last), hook("portable", tile, vector, first, last))


def vectors_for_rounding(n):
    """Vectors of every kind of scale, zeros and ties among them."""
    rng = np.random.default_rng(n)
    normal = rng.normal(size=n)
    kinds = [
        normal,
        1e-30 * normal,
        1e30 * normal,
        np.round(2 * normal) / 2,
        np.zeros(n),
        np.full(n, -3.0),
        1e-45 * normal,
    ]
    kinds += [np.exp(20 * normal), np.where(rng.random(n) < 0.9, 0, normal)]
    return [kind.astype(np.float32) for kind in kinds]


@pytest.mark.parametrize("n", [16, 32, 48, 208, 1040])
@pytest.mark.parametrize("bits", [0, 1, 2, 3, 4, 8, 9, 12, 16])
def test_rounding(name, bits, n):
    centre = np.linspace(0, 255, n, dtype=np.float32)
    unit = np.where(np.arange(n) % 5, np.linspace(0.5, 3, n), 0).astype(np.float32)
    for values in vectors_for_rounding(n):
        for key in (0, 12345678901234567890):
            scale, planes, total = kernel_hooks.quantize(name, values, bits, key, centre)
            expected = kernel_hooks.quantize("portable", values, bits, key, centre)
            assert (scale, total) == (expected[0], expected[2])
            assert np.array_equal(planes, expected[1])
            assert np.array_equal(planes, kernel_hooks.quantize(name, values, bits, key)[1])
            for u in (None, unit):
                found = kernel_hooks.round_values(name, values, u, bits, key)
                assert np.array_equal(found, kernel_hooks.round_values("portable", values, u, bits, key))
        assert kernel_hooks.largest(name, values) == np.abs(values).max()


def test_not_finite_is_told(name):
    for bad in (np.inf, -np.inf, np.nan):
        values = np.ones(48, dtype=np.float32)
        values[37] = bad
        assert kernel_hooks.largest(name, values) == np.inf
        scale, planes, _ = kernel_hooks.quantize(name, values, 8, 1)
        assert np.isnan(scale)
        assert not planes.any()


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12])
def test_stochastic_rounding_is_unbiased(bits):
    values = np.linspace(-1, 1, 64, dtype=np.float32)
    total = np.zeros(64)
    draws = 4000
    for key in range(draws):
        scale, planes, _ = kernel_hooks.quantize("portable", values, bits, order_kernels.mix(key, bits))
        q = planes[0].astype(float) if len(planes) == 1 else 256.0 * planes[0] + planes[1]
        assert np.abs(q).max() <= max(1, 2 ** (bits - 1) - 1)
        total += scale * q
    worst = scale * (1 if bits == 1 else 0.5) / np.sqrt(draws)  # largest standard deviation of a mean
    assert np.abs(total / draws - values).max() < 5 * worst


def test_rounding_to_nearest():
    values = np.random.default_rng(3).normal(size=208).astype(np.float32)
    scale, planes, _ = kernel_hooks.quantize("portable", values, 0, 0)
    q = 256 * planes[0].astype(int) + planes[1]
    assert np.abs(q).max() == 32512
    assert np.abs(q * scale - values).max() <= 0.5001 * scale


@pytest.mark.parametrize("n", [16, 48, 208])
def test_steps(name, n):
    rng = np.random.default_rng(n)
    vectors = rng.normal(size=(6, n)).astype(np.float32)
    for solver in ("saga", "sgd"):
        found = kernel_hooks.step(name, solver, vectors, 0.37, 0.011)
        expected = kernel_hooks.step("portable", solver, vectors, 0.37, 0.011)
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
        assert found[2] == np.abs(found[0]).max()
        for n_digits in (1, 2):
            sums = rng.integers(-(10**6), 10**6, (n_digits, n), dtype=np.int32)
            gradient = kernel_hooks.batch_gradient("portable", sums, vectors[2], 0.1, 0.7)
            given = np.concatenate([vectors[:2], gradient[None], vectors[3:]])
            expected = kernel_hooks.step("portable", solver, given, 0.37, 0.011)
            for which in (name, "portable"):
                found = kernel_hooks.step(which, solver, vectors, 0.37, 0.011, sums)
                assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    threshold_anchor_offset = np.array([np.abs(vectors[0]), *vectors[1:3]])
    found = kernel_hooks.shrink(name, threshold_anchor_offset)
    expected = kernel_hooks.shrink("portable", threshold_anchor_offset)
    assert np.array_equal(found[0], expected[0]) and found[1] == expected[1] == np.abs(found[0]).max()
    for n_digits in (1, 2):
        sums = rng.integers(-(10**6), 10**6, (n_digits, n), dtype=np.int32)
        found = [kernel_hooks.batch_gradient(k, sums, vectors[0], 0.1, 0.7) for k in (name, "portable")]
        assert np.array_equal(*found)
    found = [kernel_hooks.batch_gradient_float(k, sums[0] / 7, vectors[0], 0.7) for k in (name, "portable")]
    assert np.array_equal(*found)


def test_shrink_is_the_proximal_step(name):
    threshold = np.full(16, 0.5, dtype=np.float32)
    value = np.linspace(-2, 1.75, 16, dtype=np.float32)
    anchor = np.resize(np.float32([0, 1, -0.25]), 16)
    offset, top = kernel_hooks.shrink(name, np.array([threshold, anchor, value - anchor]))
    assert np.array_equal(anchor + offset, np.sign(value) * np.maximum(np.abs(value) - 0.5, 0))
    assert top == np.abs(offset).max()
    offset[3] = np.nan
    assert kernel_hooks.shrink(name, np.array([threshold, anchor, offset]))[1] == np.inf


@pytest.mark.parametrize("n_digits", [1, 2])
def test_sums_in_double(name, n_digits):
    rng = np.random.default_rng(n_digits)
    sums = rng.integers(-(10**8), 10**8, (n_digits, 64), dtype=np.int32)
    joined = sums[0].astype(float) if n_digits == 1 else 256.0 * sums[0] + sums[1]
    start, scale = rng.normal(size=64), np.float32(0.1)
    small = sums // 100  # gradients: the joined integer has 32 bits
    for which in (name, "portable"):
        for first, last in RANGES:
            rows = slice(16 * first, 16 * last)
            found = kernel_hooks.add_products(which, sums, first, last, 0.3, 17.5)
            assert np.array_equal(found[rows], (joined[rows] - 17.5) * 0.3)
            assert not found[: 16 * first].any()
            assert not found[16 * last :].any()
        exact = small[0].astype(float) if n_digits == 1 else 256.0 * small[0] + small[1]
        assert np.array_equal(kernel_hooks.add_sums(which, small, scale, start), start + float(scale) * exact)
        moved, penalty_gradient = rng.normal(size=64).astype(np.float32), rng.normal(size=64)
        total, left, single = kernel_hooks.fold(which, penalty_gradient, start, moved)
        assert np.array_equal(total, start + moved)
        assert not left.any()
        assert np.array_equal(single, (total + penalty_gradient).astype(np.float32))


@pytest.mark.parametrize("bits", [0, 1, 4, 8, 12])
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_of_a_batch(name, weighted, bits):
    rng = np.random.default_rng(bits)
    product, table_residual = rng.normal(size=64), rng.normal(size=64).astype(np.float32)
    weights = rng.uniform(0.5, 2, 64).astype(np.float32) if weighted else None
    w = weights if weighted else np.float32(1)
    for count, end in ((16, 16), (5, 16), (48, 48), (64, 64), (49, 64)):
        for solver in ("saga", "sgd"):

            def quantized(which, count=count, end=end, solver=solver):
                rows = which, product, weights, table_residual, count, end
                if solver == "saga":
                    return kernel_hooks.saga_rows(*rows, bits, 9)
                return *kernel_hooks.sgd_rows(*rows), table_residual

            found = quantized(name)
            assert all(np.array_equal(a, b) for a, b in zip(found, quantized("portable"), strict=True))
            scale, digits, total, left = found
            one = solver == "saga" and 1 <= bits <= 8
            q = digits[0].astype(int) if one else 256 * digits[0].astype(int) + digits[1]
            assert not q[count:].any()
            assert total == np.float32(scale) * np.float32(q.sum())
            value = (
                table_residual + w * product.astype(np.float32)
                if solver == "saga"
                else w * (product - table_residual).astype(np.float32)
            )
            kept = np.float32(scale) * q.astype(np.float32)
            step = 2 * np.abs(value).max() if bits == 1 and one else scale
            assert np.abs(kept - value)[:count].max() <= 1.001 * step
            assert np.array_equal(left, table_residual - kept if solver == "saga" else table_residual)


def epochs(solver, width, batch_size, bits):
    """Model after two epochs over random tiles, two targets, the last tile cut short, rows weighted."""
    rng = np.random.default_rng(width)
    d, n_rows = 205, 64 * 5 + 23
    padded, n_tiles = kernels.padded_columns(d), 6
    if width == 32:
        codes = rng.integers(0, 256, (n_tiles, padded, 64)).astype(np.float32)
        codes[:, d:] = 0
        codes, table = codes.view(np.uint8).reshape(n_tiles, -1), np.zeros(0, dtype=np.uint8)
    else:
        codes = rng.integers(0, 256, (n_tiles, kernels.tile_bytes(d, width)), dtype=np.uint8)
        table = rng.integers(0, 256, (padded << width) if width < 8 else 0, dtype=np.uint8)
    tiles = kernels.Tiles(codes, table, n_rows, d, width)
    slots = 64 * n_tiles
    rows = passes.Rows(rng.normal(size=(2, slots)).astype(np.float32), rng.uniform(0.5, 2, slots).astype(np.float32))
    centre, keep = np.full(padded, 127.5, dtype=np.float32), np.full(padded, 0.999, dtype=np.float32)
    step = np.full(padded, 1e-7, dtype=np.float32)
    model, table_residual = np.zeros((2, padded), dtype=np.float32), rng.normal(size=(2, slots)).astype(np.float32)
    mean, average = np.zeros((2, padded)), np.zeros((2, padded))
    for epoch in range(2):
        order = rng.permutation(n_tiles)
        if solver == "saga":
            penalty_gradient = np.zeros((2, padded))
            batches = epoch_kernels.Batches(tiles, rows, order, batch_size, centre, batch_size / n_rows)
            steps = epoch_kernels.Steps(keep, step, bits, bits, epoch)
            assert epoch_kernels.saga_epoch(batches, steps, table_residual, penalty_gradient, mean, model)
        else:
            unit = np.ones(padded, dtype=np.float32)
            batches = epoch_kernels.Batches(tiles, rows, order, batch_size, centre, 0.1)
            steps = epoch_kernels.Steps(keep, step, bits, bits, epoch)
            assert epoch_kernels.sgd_epoch(batches, steps, unit, model, average)
    assert model.any()
    return model, table_residual, mean, average


@pytest.mark.parametrize("batch_size", [16, 32, 48, 64])
@pytest.mark.parametrize("bits", [0, 1, 3, 8, 12])
@pytest.mark.parametrize("width", [*WIDTHS, 32])
@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_epochs_give_the_same_coefficients(name, solver, width, bits, batch_size):
    with dispatch.kernels("portable"):
        expected = epochs(solver, width, batch_size, bits)
    with dispatch.kernels(name):
        found = epochs(solver, width, batch_size, bits)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_choice_by_context():
    before = active_kernels.kernel_name()
    with dispatch.kernels("portable"):
        assert active_kernels.kernel_name() == "portable"
    assert active_kernels.kernel_name() == before
    assert dispatch.available_kernels()[-1] == "portable"
    with pytest.raises(ValueError, match=r"no kernels named 'abacus' run here; available: .*portable"):
        active_kernels.use_kernels("abacus")


@pytest.mark.parametrize("value", ["portable", "abacus"])
def test_choice_by_environment(value):
    script = "from sklearn_zipml._kernels import active; print(active.kernel_name())"
    environment = {**os.environ, "SKLEARN_ZIPML_KERNELS": value}
    run = subprocess.run([sys.executable, "-P", "-c", script], env=environment, capture_output=True, text=True)
    if value == "portable":
        assert run.stdout.strip() == "portable"
    else:
        assert run.returncode
        assert "ImportError: environment variable SKLEARN_ZIPML_KERNELS='abacus'" in run.stderr
        assert "available: " in run.stderr


def test_show_versions(capsys):
    dispatch.show_versions()
    text = capsys.readouterr().out
    for word in ("numpy", "scikit-learn", "CPU", active_kernels.kernel_name()):
        assert word in text


def test_sizes_that_do_not_go_together():
    """Raise ValueError: the C code trusts them."""
    codes, table, levels = np.zeros((2, 256), np.uint8), np.zeros((16, 4), np.uint8), np.arange(4, dtype=np.uint8)
    tiles = kernels.Tiles(codes, table.reshape(-1), 100, 9, 2)
    column = np.ones(9)
    encoder = [np.tile(levels, (9, 1)), np.full(9, 4, np.uint16), np.full(9, 3, np.uint8), column, column]
    rows, block = np.arange(3), np.zeros((3, 9))

    def encoding(*given, width=2, n_draws=1):
        return encoder_kernels.Encoder(given, encoder_kernels.COMPENSATED, width, 0, n_draws)

    def requantizing(used=encoder[1], codes=4, chosen=rows[:2]):
        carried, no_levels = np.zeros((9, codes)), np.zeros((9, 0), np.uint8)
        scheme = Scheme.of(1, "compensated", "optimal")
        return Requantizer(tiles, None, tiles, chosen, (used, no_levels, carried), scheme)

    good = encoding(*encoder)
    moments, packed_rows = encoder_kernels.Moments(9, 2, True), np.zeros((64, 4), np.uint8)
    good.encode(block, packed_rows, moments, rows)
    for wrong in (
        lambda: tiles.positions(0, 3),
        lambda: tiles.positions(2, 1),
        lambda: tiles.counts(3, 4),
        lambda: tiles.lookup(0, 2, np.array([16]), np.zeros((1, 4))),
        lambda: tiles.lookup(0, 2, np.array([0]), np.zeros((1, 3))),
        lambda: kernels.Tiles(codes, table.reshape(-1), 100, 9, 3),
        lambda: order_kernels.permutation(5, 0, 3, 3),
        lambda: order_kernels.inverse_permutation(5, 0, np.array([5])),
        lambda: order_kernels.rows_below(0, 2, 1, 7),
        lambda: kernels.take_rows(tiles, np.array([100]), codes.copy(), 0, 1),
        lambda: kernels.gather_rows(tiles, np.array([-1]), codes.copy(), 0, 2),
        lambda: column_kernels.gather_columns(block, np.array([3]), np.zeros((9, 1)), 0),
        lambda: column_kernels.gather_columns(block, rows, np.zeros((9, 2)), 0),
        lambda: column_kernels.block_range(block[::2, ::2], column.copy(), column.copy()),
        lambda: column_kernels.block_range(block, column[:8].copy(), column.copy()),
        lambda: column_kernels.column_levels(block, column, column, 300, 255, 1),
        lambda: column_kernels.column_levels(block, column, column, 4, 255, 1),
        lambda: column_kernels.optimal_levels(column, column[:8], column, column, 2),
        lambda: encoding(*(part[:0] for part in encoder)),
        lambda: encoding(encoder[0], np.full(9, 65535, np.uint16), *encoder[2:]),
        lambda: encoding(encoder[0], encoder[1][:8], *encoder[2:]),
        lambda: encoding(encoder[0][:, ::-1], *encoder[1:]),
        lambda: encoding(np.zeros((9, 17), np.uint8), *encoder[1:]),
        lambda: encoding(*encoder, n_draws=0),
        lambda: encoding(*encoder, width=3),
        lambda: good.encode(block[:, :8].copy(), packed_rows, moments, rows),
        lambda: good.encode(block, packed_rows, moments, np.array([0, 1, 64])),
        lambda: good.encode(block, packed_rows, moments, rows[:2]),
        lambda: good.encode(block, packed_rows, encoder_kernels.Moments(8, 2, True), rows),
        lambda: requantizing(used=np.full(9, 5, np.uint16)),
        lambda: requantizing(codes=5000),
        lambda: requantizing(chosen=np.array([2])),
        lambda: requantizing().requantize(np.zeros((2, 64), np.uint8), 0, 0, 2),
        lambda: passes.products(tiles, np.zeros(17), 0, 2),
        lambda: passes.products(tiles, column, 0, 3),
        lambda: passes.row_sums(tiles, np.ones(99), 0, 2),
        lambda: passes.code_weights(tiles, np.ones(99)),
        lambda: passes.Move(tiles, np.zeros(9), np.zeros(16, np.float32)),
    ):
        with pytest.raises(ValueError, match=r"[a-z]"):
            wrong()

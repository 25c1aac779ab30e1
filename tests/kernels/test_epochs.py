"""Epochs of wide matrices, in blocks of columns and in teams of threads, against the twin."""

import signal
import threading

import numpy as np
import pytest
import reference

from sklearn_zipml._kernels import epochs as epoch_kernels
from sklearn_zipml._kernels import passes
from sklearn_zipml._kernels import tiles as kernels
from sklearn_zipml._kernels.threads import run_team


def problem(width, d, n=150, seed=0):
    """Random tiles, rows and the vectors of an epoch; what the tiles hold, (slots, columns)."""
    rng = np.random.default_rng(seed)
    padded, n_tiles = reference.padded(d), -(-n // 64)
    if width == 32:
        floats = rng.normal(size=(n_tiles, padded, 64)).astype(np.float32)
        codes, table = floats.view(np.uint8).reshape(n_tiles, -1), np.zeros(0, dtype=np.uint8)
        stored = np.ascontiguousarray(floats.transpose(0, 2, 1)).reshape(-1, padded)
    else:
        values = rng.integers(0, 1 << width, (64 * n_tiles, padded)).astype(np.uint8)
        codes = reference.tiles(values, width)
        table = rng.integers(0, 256, (padded, 1 << width) if width < 8 else 0, dtype=np.uint8)
        stored = (np.take_along_axis(table, values.T, axis=1).T if width < 8 else values).astype(np.int64)
        table = table.ravel()
    tiles = kernels.Tiles(codes, table, n, d, width)
    slots = 64 * n_tiles
    targets = rng.normal(size=(2, slots)).astype(np.float32)
    weights = rng.uniform(0.5, 2, slots).astype(np.float32)
    centre = np.full(padded, 127.5 if width < 32 else 0.1, dtype=np.float32)
    keep, step = np.full(padded, 0.999, dtype=np.float32), np.full(padded, 1e-6, dtype=np.float32)
    model = (rng.normal(size=(2, padded)) * rng.uniform(0, 1, padded) ** 4).astype(np.float32)
    return tiles, stored, targets, weights, (centre, keep, step), model


def saga(width, d, batch, bits, n=150, start=1):
    """Found by teams of every size, and expected: residuals of the table, mean, offset. They begin anywhere."""
    tiles, stored, targets, weights, constants, model = problem(width, d, n)
    model *= start
    order = np.random.default_rng(1).permutation(tiles.n_tiles)
    penalty_gradient, mean = np.full(model.shape, 1e-3), np.zeros(model.shape)
    constants = (*constants, batch / n, 1 / n)
    expected = reference.saga_epoch(
        stored,
        n,
        weights,
        order,
        batch,
        *constants,
        bits,
        7,
        targets,
        penalty_gradient,
        mean,
        model,
        lasts=reference.grids_last(width, batch, tiles.padded, bits[0]),
    )
    for threads in (1, 2, 3, 8):
        found = targets.copy(), mean.copy(), model.copy()
        team = epoch_kernels.Team(tiles.padded, batch, threads)
        arrays = found[0], penalty_gradient, *found[1:]
        rows = passes.Rows(targets, weights)
        batches = epoch_kernels.Batches(tiles, rows, order, batch, constants[0], batch / n)
        assert epoch_kernels.saga_epoch(batches, epoch_kernels.Steps(*constants[1:3], *bits, 7), *arrays, team)
        yield found, expected


def sgd(width, d, batch, bits, n=150):
    """The same: last iterate and average."""
    tiles, stored, targets, weights, constants, model = problem(width, d, n)
    order = np.random.default_rng(1).permutation(tiles.n_tiles)
    unit = np.linspace(0.5, 2, tiles.padded).astype(np.float32)
    constants = (*constants, batch / n)
    expected = reference.sgd_epoch(stored, n, targets, weights, order, batch, *constants, bits, 7, unit, model)
    for threads in (1, 2, 3, 8):
        found = model.copy(), np.full(model.shape, np.nan)
        team = epoch_kernels.Team(tiles.padded, batch, threads)
        rows = passes.Rows(targets, weights)
        batches = epoch_kernels.Batches(tiles, rows, order, batch, constants[0], batch / n)
        assert epoch_kernels.sgd_epoch(batches, epoch_kernels.Steps(*constants[1:3], *bits, 7), unit, *found, team)
        yield found, expected


@pytest.mark.parametrize("bits", [(0, 0), (8, 8), (3, 12)])
@pytest.mark.parametrize(
    ("width", "d", "batch"),
    [(1, 1040, 64), (2, 530, 48), (2, 9300, 64), (4, 1600, 16), (8, 1030, 64), (8, 4112, 64), (32, 1100, 32)],
)
@pytest.mark.parametrize("solver", [saga, sgd])
def test_blocks_and_teams_equal_the_twin(solver, width, d, batch, bits):
    """Two to ten blocks; teams of more threads than there are processors, too, which may be given up on the way."""
    for found, expected in solver(width, d, batch, bits):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
        assert np.isfinite(found[0]).all()


@pytest.mark.parametrize(("width", "d", "batch"), [(4, 600, 16), (8, 4112, 64)])
def test_grids_that_last_follow_the_model(width, d, batch):
    """From nothing the model grows beyond them, and later it stays; in one loop with the step or after it."""
    for found, expected in saga(width, d, batch, (8, 8), n=1000, start=0):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
        assert found[2].any()


def test_size_of_a_team():
    """A thread for as many parts as there are, where each has something to do."""
    sizes = {(1024, 64): 2, (1024, 16): 2, (512, 64): 1, (8192, 64): 8, (128, 64): 1, (0, 16): 1}
    for (columns, batch), most in sizes.items():
        assert epoch_kernels.Team(columns, batch, 1).size == 1
        assert epoch_kernels.Team(columns, batch, 64).size == most


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_team_reports_what_is_not_finite(bad):
    """Wherever it is: all members have to see it."""
    for column in (0, 2000):
        tiles, _, targets, weights, constants, model = problem(2, 2048)
        model[1, column] = bad
        team, order = epoch_kernels.Team(tiles.padded, 64, 2), np.arange(tiles.n_tiles)
        arrays = targets.copy(), np.zeros(model.shape), np.zeros(model.shape), model
        batches = epoch_kernels.Batches(tiles, passes.Rows(targets, weights), order, 64, constants[0], 0.1)
        assert team.size == 2
        assert not epoch_kernels.saga_epoch(batches, epoch_kernels.Steps(*constants[1:], 8, 8, 7), *arrays, team)


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_of_any_member_ends_the_team(bad):
    """It is raised, once the others, which wait for that member, have been stopped."""
    stopped = threading.Event()

    def work(member):
        if member == bad:
            raise MemoryError("no room")
        assert stopped.wait(30)

    with pytest.raises(MemoryError, match="no room"):
        run_team(2, work, stopped.set)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_a_team_can_be_interrupted():
    """No thread is left behind."""

    def interrupt(*_):
        raise KeyboardInterrupt

    tiles, _, targets, weights, constants, model = problem(1, 2048)
    order = np.tile(np.arange(tiles.n_tiles), 300_000)
    arrays = targets.copy(), np.zeros(model.shape), np.zeros(model.shape), model
    batches = epoch_kernels.Batches(tiles, passes.Rows(targets, weights), order, 64, constants[0], 1e-6)
    steps = epoch_kernels.Steps(constants[1], np.zeros_like(constants[2]), 8, 8, 7)  # which go nowhere
    team, before = epoch_kernels.Team(tiles.padded, 64, 2), threading.active_count()
    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            epoch_kernels.saga_epoch(batches, steps, *arrays, team)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert threading.active_count() == before

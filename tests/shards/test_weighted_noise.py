"""Rounding variances of weighted rows, told in few bits."""

from functools import reduce
from operator import add

import numpy as np
from sklearn_zipml._kernels.tiles import TILE_ROWS
from test_parts import packed_apart

from sklearn_zipml._scheme import Scheme
from sklearn_zipml._shards.gradient import survey
from sklearn_zipml._shards.messages import float32_bytes
from sklearn_zipml._shards.shard import Shard
from sklearn_zipml._shards.targets import TargetCode
from sklearn_zipml._shards.weighted_noise import WeightedNoise
from sklearn_zipml._storage.statistics import weighted


def test_parts_tell_the_variances_of_all_rows():
    """Within what 8 bits leave, of weights that depend on the columns; bytes are those of the messages."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 30)) ** 3
    weights = np.exp(X[:, 0] / 10) * rng.exponential(size=4000)
    shards, spans, _ = packed_apart(X, X[:, 1], Scheme.of(4, "compensated", "optimal"), 3)
    plain = shards[0].rows.rounding_variance.astype(float)
    expected = 0.0
    for shard, span in zip(shards, spans, strict=True):
        slots = shard.rows.order.to_slots(weights[span], shard.rows.tiles.n_tiles * TILE_ROWS, np.float64)
        expected = expected + weights[span].sum() / weights.sum() * weighted(shard.rows, slots)[2]
    weighing = [Shard(shard.rows, weights[span]) for shard, span in zip(shards, spans, strict=True)]
    surveys = [survey([shard], TargetCode(), True, seed) for seed, shard in enumerate(weighing)]
    told = reduce(add, (found.noise for found in surveys))
    away = np.abs(expected / plain - 1).max()
    assert away > 0.1
    np.testing.assert_allclose(told.means(plain), expected, atol=0.02 * away * plain.max(), rtol=0.02 * away)
    assert told.float32_nbytes == 3 * float32_bytes(1, 30)
    assert surveys[0].nbytes < surveys[0].float32_nbytes


def test_columns_without_rounding():
    """Have none, whatever is told."""
    told = WeightedNoise.of(2.0, np.array([0.0, 3.0]), np.array([0.0, 2.0]), 1)
    np.testing.assert_allclose(told.means(np.array([0.0, 2.0])), [0.0, 3.0])

"""The packing of partitions where they lie: what their targets are, then levels for all of them, then codes."""

from functools import partial
from typing import NamedTuple

import numpy as np

from .._quantization.streaming import warn_outside
from .._shards.packing import Place, statistics
from .._shards.targets import joined_reports
from . import _tasks
from ._collections import partitions
from ._engine import constant, task


class Packed(NamedTuple):
    """Shards on the workers.

    Attributes
    ----------
    shards : list of futures of Shard
    targets : TargetReport of all partitions, rows of weight zero too
    """

    shards: list
    targets: object


class Packing(NamedTuple):
    """How to pack.

    Attributes
    ----------
    checks : Checks
    scheme : Scheme
    seed : int, 64 bits
    quantizer : DoubleSamplingQuantizer or None, that brings all three
    """

    checks: object
    scheme: object
    seed: int
    quantizer: object


def pack(engine, X, y, sample_weight, packing):
    """Pack the partitions of X, y and sample_weight; see `partitions` for what they may be.

    X is read twice, once for the levels and once for the codes, or once if a quantizer brings the levels; its
    partitions are not kept in between.

    Returns
    -------
    Packed
    """
    parts = partitions(X, y, sample_weight)
    checks = packing.checks
    report = task(partial(_tasks.report, checks=checks))
    futures = engine.compute([report(targets, weights) for _, targets, weights in parts])
    reports = engine.results(futures)
    engine.release(futures)
    targets = _all_targets(reports)
    # (number, partition, place) of those with rows
    placed, first = [], 0
    for number, (part, found) in enumerate(zip(parts, reports, strict=True)):
        if found is not None and found.n_used:
            placed.append((number, part, Place(first, targets.n_used)))
            first += found.n_used
    grid, names, seed = _levels(engine, placed, packing)
    return Packed(_codes(engine, placed, checks, (grid, packing.quantizer is not None), names, seed), targets)


def _all_targets(reports):
    reports = [report for report in reports if report is not None]
    if not reports:
        raise ValueError("X has no rows in any partition: at least one is needed.")
    targets = joined_reports(reports)
    if targets.n_used == 0 and targets.heaviest == 0:
        raise ValueError("sample_weight: all weights are zero; at least one row must have a positive weight.")
    if targets.n_used == 0:
        raise ValueError("y has no value that is known in rows of positive weight.")
    return targets


def _levels(engine, placed, packing):
    """The Grid of all rows, names of the columns, and the seed of the draws."""
    if packing.quantizer is not None:
        grid, seed = packing.quantizer.__zipml_packing__()
        names = getattr(packing.quantizer, "feature_names_in_", None)
        return grid, None if names is None else tuple(names), seed
    sketch = task(partial(_tasks.sketch, checks=packing.checks, seed=packing.seed))
    futures = engine.compute([sketch(*part, place=place, number=number) for number, part, place in placed])
    future = engine.merged(futures, _tasks.join_sketches)
    found, names = engine.result(future)
    engine.release([*futures, future])
    return found.find_grid(packing.scheme, names), names, packing.seed


def _codes(engine, placed, checks, grid, names, seed):
    """Futures of the shards."""
    held = constant(grid)
    pack_one = task(partial(_tasks.pack, checks=checks, seed=seed))
    pairs = engine.compute([pack_one(*part, grid=held, place=place, number=number) for number, part, place in placed])
    report = engine.result(engine.merged([engine.submit(_tasks.second, pair) for pair in pairs], _tasks.join))
    if report.low is not None:
        warn_outside(grid[0].watching_all(), np.asarray(report.low), np.asarray(report.high), names)
    common = statistics(report, grid[0])
    finish = partial(_tasks.finish, common=common, dtype=report.dtype, names=names)
    shards = [engine.submit(finish, pair) for pair in pairs]
    engine.wait(shards)
    engine.release(pairs)
    return shards

"""Parts of the rows, packed apart, without any engine: codes, statistics and moments are those of all rows at once."""

import pickle
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest

from sklearn_zipml import PackedMatrix, ZipMLRegressor
from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._seeds import draw_seed
from sklearn_zipml._shards import moments, packing
from sklearn_zipml._shards.shard import load_shard
from sklearn_zipml._shards.targets import TargetCode, joined_reports, report_targets

SEED = draw_seed(np.random.RandomState(0))


def data(n, d=5):
    """Rows, some of them equal, with a target in the order of which they are."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d)) ** 3 + 2
    X[200:300] = X[:100]
    y = X @ np.arange(1.0, d + 1) + rng.standard_normal(n)
    order = np.argsort(y)
    return X[order], y[order]


def packed_apart(X, y, scheme, parts):
    """Shards of unequal parts that were packed in a random order, and the joined PackingReport."""
    rng = np.random.default_rng(parts)
    bounds = [0, *np.sort(rng.choice(np.arange(1, len(X)), parts - 1, replace=False)).tolist(), len(X)]
    spans = [slice(*pair) for pair in pairwise(bounds)]
    rng.shuffle(spans)
    places = [packing.Place(span.start, len(X)) for span in spans]
    pairs = list(zip(spans, places, strict=True))
    sketch = reduce(lambda one, other: one.joined(other), [packing.sketch(X[s], SEED, p) for s, p in pairs])
    grid = sketch.find_grid(scheme)
    packed = [packing.pack_part(X[s], y[s], None, grid, SEED, p) for s, p in pairs]
    report = reduce(lambda one, other: one.joined(other), [report for _, report in packed])
    common = packing.statistics(report, grid)
    return [packing.with_statistics(shard, common, report.dtype) for shard, _ in packed], spans, report


@pytest.mark.parametrize(("bits", "sampling"), [(4, "compensated"), (2, "double"), (8, "compensated"), (6, "nearest")])
@pytest.mark.parametrize("n", [700, 20_000])
def test_codes_and_statistics(bits, sampling, n):
    """Of few rows, and of more than the samples and the tally of errors look at."""
    X, y = data(n)
    scheme = Scheme.of(bits, sampling, "optimal", 2)
    whole = pack(X, scheme, SEED)
    shards, spans, report = packed_apart(X, y, scheme, 7)
    assert report.n_rows == n
    decoded = np.asarray(matrix_of(whole))
    for shard, span in zip(shards, spans, strict=True):
        np.testing.assert_array_equal(np.asarray(matrix_of(shard.rows)), decoded[span])
        for name in ("noise", "mean", "deviation", "rounding_variance", "collision_probability", "offset", "step"):
            np.testing.assert_array_equal(getattr(shard.rows, name), getattr(whole, name))


@pytest.mark.parametrize("parts", [2, 9])
def test_moments(parts):
    """Merged in any order they give the coefficients of partial_fit, to the bit."""
    X, y = data(3000)
    shards, _, _ = packed_apart(X, y, Scheme.of(4, "compensated", "optimal", outliers="auto"), parts)
    local = ZipMLRegressor(random_state=0).partial_fit(X, y)
    for order in (shards, shards[::-1]):
        sums = moments.merged([moments.moments([shard], TargetCode(), SEED) for shard in order])
        found = sums.minimum(1e-4, True, np.float64)
        np.testing.assert_array_equal(found.coef[0], local.coef_)
        assert found.intercept[0] == local.intercept_
    assert sums.nbytes > 5 * 5 * 8


def test_labels_of_frames():
    """Strings that are Python objects, as data frames have them, go to other workers with their rows."""
    X, y = data(700)
    labels = np.where(y > 0, "up", "down").astype(object)
    shards, spans, _ = packed_apart(X, labels, Scheme.of(4, "compensated", "optimal"), 2)
    for shard, span in zip(shards, spans, strict=True):
        sent = pickle.loads(pickle.dumps(shard))
        np.testing.assert_array_equal(sent.rows.target, labels[span])
    with pytest.raises(ValueError, match="must be of numbers, booleans or strings"):
        packed_apart(X, np.array([{}] * len(X)), Scheme.of(4, "compensated", "optimal"), 2)


def test_files(tmp_path):
    """A shard in a file is the shard; files that are none are refused."""
    X, y = data(700)
    shards, _, _ = packed_apart(X, y, Scheme.of(4, "compensated", "optimal"), 2)
    weighted = type(shards[0])(shards[0].rows, np.arange(1.0, len(shards[0]) + 1))
    weighted.save(tmp_path / "a.zq")
    loaded = load_shard(tmp_path / "a.zq")
    np.testing.assert_array_equal(loaded.weights, weighted.weights)
    np.testing.assert_array_equal(loaded.rows.target, weighted.rows.target)
    np.testing.assert_array_equal(loaded.rows.codes, weighted.rows.codes)
    np.save(tmp_path / "a.zq.weights.npy", np.zeros(len(shards[0])))
    with pytest.raises(ValueError, match="does not hold a positive weight"):
        load_shard(tmp_path / "a.zq")
    PackedMatrix.from_chunks(X).save(tmp_path / "b.zq")
    with pytest.raises(ValueError, match="has no target"):
        load_shard(tmp_path / "b.zq")


def test_targets_of_parts():
    """Labels are counted, rows without weight apart; parts with targets of another shape are refused."""
    one = report_targets(np.array(["b", "a", "b"]), np.array([0.0, 2.0, 1.0]), True)
    other = report_targets(np.array(["c"]), None, True)
    both = joined_reports([one, other])
    assert (both.n_rows, both.n_used, both.heaviest) == (4, 3, 2.0)
    assert (both.labels.tolist(), both.counts.tolist()) == (["a", "b", "c"], [1, 2, 1])
    with pytest.raises(ValueError, match="different shapes"):
        joined_reports([report_targets(np.zeros(2), None, False), report_targets(np.zeros((2, 1)), None, False)])


def test_units_and_labels():
    """Weights of labels come on top of those of rows, in the unit that is asked for."""
    X, _ = data(700)
    labels = np.where(X[:, 0] > 2, "up", "down")
    shards, spans, _ = packed_apart(X, labels, Scheme.of(4, "compensated", "optimal"), 2)
    code = TargetCode(
        np.array(["down", "up"]), lambda numbers, count: numbers[:, None] - 0.5, np.array([1.0, 3.0]), 0.5
    )
    targets, weights = code(shards[0])
    is_up = labels[spans[0]] == "up"
    np.testing.assert_array_equal(targets[:, 0], is_up - 0.5)
    np.testing.assert_array_equal(weights, np.where(is_up, 6.0, 2.0))

"""Steep directions of rounds: exact along them, found where there are some, and never done far from the minimum."""

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_class_rounds import NEAREST, fitted, least, objective
from test_parts import SEED, packed_apart
from test_rounds import exchanged

from sklearn_zipml import ZipMLRegressor
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._shards.directions import (
    STEEP,
    Directions,
    Metric,
    least_beside,
    probes,
    sketched,
    steep,
    tell,
)
from sklearn_zipml._shards.gradient import survey
from sklearn_zipml._shards.messages import decoded, encoded, rounding_error, shares_of
from sklearn_zipml._shards.rounds import Rounds
from sklearn_zipml._shards.targets import TargetCode


def with_factors(n, d, factors, seed=0):
    """Rows that a few factors make most of."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, factors)) @ rng.standard_normal((factors, d)) / np.sqrt(factors)
    return 0.5 * rng.standard_normal((n, d)) + common


def correlations(d, factors, seed=0):
    """Second moments of such rows in units of their deviations."""
    X = with_factors(5 * d, d, factors, seed)
    return np.corrcoef(X.T)


@pytest.mark.parametrize("bits", [4, 8, 11, 16])
def test_messages_are_exact_along_directions(bits):
    """Nothing of their error is along them, whatever they are; across, they are within a step, and unbiased."""
    rng = np.random.default_rng(0)
    rows = decoded(encoded(rng.standard_normal((3, 400)), 6, 1))
    directions, along = Directions(rows), 100 * rng.standard_normal((2, 3)) @ rows
    vectors = along + rng.standard_normal((2, 400)) * [[1.0], [1e-6]]
    found = np.stack([directions.decoded(directions.encoded(vectors, bits, seed << 40)) for seed in range(300)])
    away = found - vectors
    size = np.abs(vectors @ np.linalg.pinv(rows)).max(axis=1, keepdims=True)
    assert np.all(np.abs(away @ np.linalg.pinv(rows)) <= size / (1 << 15))
    across = directions.across(away.reshape(-1, 400)).reshape(away.shape)
    message = directions.encoded(vectors, bits, 1)
    assert_allclose(np.sqrt((across**2).sum(axis=2)).mean(axis=0), rounding_error(message), rtol=0.2)
    step = np.abs(directions.across(vectors)).max(axis=1, keepdims=True) / ((1 << (bits - 1)) - 1)
    assert np.all(np.abs(across.mean(axis=0)) < 5 * step / np.sqrt(300))
    assert len(message) <= 7 + 2 * 4 + -(-2 * 400 * bits // 8) + 2 * (4 + 3 * 2)


def test_messages_without_directions():
    """Are what they ever were, for those who know some, too."""
    vectors = np.random.default_rng(0).standard_normal((2, 50))
    plain = encoded(vectors, 8, 3)
    assert Directions.none(50).encoded(vectors, 8, 3) == plain
    some = Directions(vectors[:1])
    assert_array_equal(some.decoded(plain), decoded(plain))
    assert shares_of(plain, 1) is None
    nothing = some.encoded(np.zeros((2, 50)), 4, 0)
    assert_array_equal(some.decoded(nothing), np.zeros((2, 50)))


def test_the_metric_is_the_curvature_along_directions():
    """In closed form: the matrix itself where they span all that is not even."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((60, 60)))[0].T
    even = 0.5
    matrix = even * np.eye(60) + basis[:2].T @ np.array([[20.0, 3.0], [3.0, 8.0]]) @ basis[:2]
    matrix *= 60 / np.trace(matrix)
    directions = Directions(rng.standard_normal((2, 2)) @ basis[:2])
    metric = Metric.of(directions, directions.rows @ matrix @ directions.rows.T)
    moves = rng.standard_normal((3, 60))
    assert_allclose(metric.bent(moves), moves @ matrix / matrix[0].dot(basis[5]) * basis[5][0], rtol=1e-9)
    assert_allclose(metric.step(metric.bent(moves)), moves, rtol=1e-9)
    assert_allclose(metric.square(moves), (moves * metric.step(moves)).sum(axis=1))
    assert_array_equal(Metric.flat(60).step(moves), moves)


@pytest.mark.parametrize("factors", [0, 1, 6])
def test_sketches_find_steep_directions(factors):
    """From one that moves have shown; none of rows without factors. They are in the span of the leading eigenvectors.

    What is left across them is less than twice as steep as what is told. Sketches are exact along candidates.
    """
    d, parts = 400, 3
    matrix = correlations(d, factors) if factors else np.cov(np.random.default_rng(0).standard_normal((d, 5 * d)))
    start = np.random.default_rng(1).standard_normal((1, d))
    start /= np.linalg.norm(start)
    rows = steep(start, start @ matrix, np.zeros(1), np.zeros((0, d)))
    assert len(rows) == (factors > 0)

    def product(moves):
        return moves @ matrix / parts

    directions, before = Directions.none(d), 0
    while len(rows) > before:
        before = len(rows)
        told = [tell(directions, 0, rows, product, (4, k)) for k in range(parts)]
        assert all(one.bends is None for one in told)
        rows = steep(*sketched([one.sketch for one in told], directions, rows), directions.rows)
    directions = directions.joined(rows)
    if len(rows):
        told = [tell(directions, 0, None, product, (4, k)) for k in range(parts)]
        assert all(one.sketch is None for one in told)
        assert_allclose(sum(one.bends for one in told), rows @ matrix @ rows.T, rtol=1e-5, atol=1e-4)
    assert len(directions) <= factors
    across = directions.across(np.eye(d))
    assert np.linalg.eigvalsh(across @ matrix @ across.T)[-1] < 2 * STEEP * np.sqrt(d)
    if factors:
        leading = np.linalg.eigh(matrix)[1][:, -factors:]
        # .2 where directions were told as moves and probes had shown them
        assert np.linalg.norm(directions.rows - directions.rows @ leading @ leading.T, axis=1).max() < 0.1
    assert tell(directions, len(directions), None, product, (8, 0)) is None
    assert len(probes(Directions(np.eye(2, 9)), 1)) == 2


def descended(X, Y, ridge, parts, bits, seed):
    """The Rounds over least squares of parts in floats, after 150 rounds or fewer."""
    (n, d), outputs = X.shape, Y.shape[1]
    spans = np.array_split(np.arange(n), parts)
    hessians = [X[span].T @ X[span] / n for span in spans]
    linear = [Y[span].T @ X[span] / n for span in spans]
    rounds = Rounds(np.full(d, ridge), np.zeros(d), outputs, parts, (bits, bits), SEED + seed, 1e-4)
    told, directions = [np.zeros((outputs, d))] * parts, Directions.none(d)
    while not rounds.is_done and rounds.n_rounds < 150:
        move, known, more = rounds.move(), len(directions), []
        if move.directions is not None:
            directions = directions.joined(decoded(move.directions))
        candidates = None if move.candidates is None else decoded(move.candidates)
        for k, hessian in enumerate(hessians):
            more.append(tell(directions, known, candidates, hessian.__rmatmul__, rounds.rounding(k)))
        more = [one for one in more if one is not None]
        slopes = [rounds.known @ hessians[k] - linear[k] - told[k] for k in range(parts)]
        messages = [directions.encoded(slope, *rounds.rounding(k)) for k, slope in enumerate(slopes)]
        told = [one + directions.decoded(message) for one, message in zip(told, messages, strict=True)]
        rounds.receive(messages, [((Y - X @ rounds.known.T) ** 2).mean(axis=0) / 2], more)
    return rounds


@pytest.mark.parametrize("bits", [4, 8])
def test_rounds_are_done_only_near_the_minimum(bits):
    """Over quadratics with steep directions, outputs and parts: within twice `tol` of it, or not done; most are."""
    done = found = 0
    for seed in range(15):
        rng = np.random.default_rng(seed)
        d, outputs, parts = int(rng.integers(50, 250)), int(rng.integers(1, 4)), int(rng.integers(1, 5))
        X = with_factors(int(rng.integers(2, 6)) * d, d, int(rng.integers(1, 5)), seed)
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        Y = X @ rng.standard_normal((d, outputs)) + rng.choice([0.5, 5]) * rng.standard_normal((len(X), outputs))
        Y = (Y - Y.mean(axis=0)) / Y.std(axis=0)
        ridge = 10 ** rng.uniform(-3, 0)
        rounds = descended(X, Y, ridge, parts, bits, seed)
        matrix, right = X.T @ X / len(X) + ridge * np.eye(d), Y.T @ X / len(X)
        best = np.linalg.solve(matrix, right.T).T
        lowest, away = 0.5 - (best * right).sum(axis=1) / 2, rounds.model - best
        assert not rounds.is_done or np.all(((away @ matrix) * away).sum(axis=1) / 2 <= 2e-4 * lowest), seed
        done, found = done + rounds.is_done, found + len(rounds.directions)
    assert done >= 14
    assert found >= 15


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_directions_beside_a_steep_one(bits):
    """Are told, too, though only one is steep enough to have any looked for, by the mean curvature of what is left."""
    d, rng = 400, np.random.default_rng(0)
    basis, even = np.linalg.qr(rng.standard_normal((d, d)))[0].T, 0.25
    beside = 0.95 * STEEP * np.sqrt(d)
    matrix = even * np.eye(d) + basis[:5].T @ (np.array([[60.0], *[[beside]] * 4]) * basis[:5])
    X = np.sqrt(d) * np.linalg.cholesky(matrix).T
    Y = X @ (rng.standard_normal((d, 1)) + 3 * basis[:1].T)
    rounds = descended(X, Y / Y.std(), 0.01, 2, bits, 0)
    # that there are no more candidates than before, by chance, ends the search: one or two may be left
    assert rounds.is_done and 3 <= len(rounds.directions) <= 5
    rows = rounds.directions.rows
    assert_allclose(rows @ basis[:5].T @ basis[:5], rows, atol=0.02)
    moves = probes(Directions(basis[:5]), 0)
    assert_allclose(least_beside(moves, moves @ matrix), STEEP * even, rtol=1e-9)
    assert least_beside(moves, 2 * moves) == STEEP
    assert least_beside(moves, -moves) > 0
    # candidates are looked at in no more bits, whatever messages have
    looks = [tell(Directions.none(d), 0, moves, matrix.__rmatmul__, (some, 0)).sketch for some in (4, bits)]
    assert looks[0] == looks[1]


@pytest.mark.parametrize("bits", [4, 8])
def test_least_squares_of_packed_parts(bits):
    """The closed form of the same rows, with weights, two outputs, and an intercept."""
    X = with_factors(3000, 200, 2) + 3
    rng = np.random.default_rng(1)
    y = np.stack([X @ rng.standard_normal(200) / 10, X[:, 0]], axis=1) + rng.standard_normal((3000, 2))
    shards, spans, _ = packed_apart(X, y, Scheme.of(8, "nearest", "optimal"), 4)
    weights = rng.uniform(0.5, 2, 3000)
    shards = [type(shard)(shard.rows, weights[span]) for shard, span in zip(shards, spans, strict=True)]
    coef, intercept, rounds = exchanged(shards, bits, 0.1, 1e-5)
    assert rounds.is_done and len(rounds.directions) >= 2
    local = ZipMLRegressor(8, sampling="nearest", alpha=0.1, random_state=0).partial_fit(X, y, weights)
    error = (X @ (coef - local.coef_).T + intercept - local.intercept_).std(axis=0) / y.std(axis=0)
    assert error.max() < 1e-2


@pytest.mark.parametrize(("bits", "share", "most"), [(8, 1 / 4, 60), (4, 1 / 8, 100)])
def test_bytes_of_ten_factors(bits, share, most):
    """All that is exchanged, headers included, with weights; rounds that were not enough by far before."""
    X, rng = with_factors(2500, 1000, 10), np.random.default_rng(1)
    y = X @ rng.standard_normal(1000) / 30 + 0.5 * rng.standard_normal(2500)
    shards, spans, _ = packed_apart(X, y, Scheme.of(4, "compensated", "optimal"), 2)
    weights = rng.exponential(size=2500) + 0.1
    shards = [type(shard)(shard.rows, weights[span]) for shard, span in zip(shards, spans, strict=True)]
    surveys = [survey([shard], TargetCode(), True, k) for k, shard in enumerate(shards)]
    *_, rounds = exchanged(shards, bits, 0.1, 1e-4, most=most)
    assert rounds.is_done and len(rounds.directions) == 10
    sent = rounds.bytes_sent + sum(one.nbytes for one in surveys)
    assert sent <= share * (rounds.float32_bytes + sum(one.float32_nbytes for one in surveys))


@cache
def sorted_classes(n_classes, factors, d, seed):
    """Rows sorted by label, labels, the minimum of LogisticRegression with C=.1, and the rows that it is of."""
    rng = np.random.default_rng(seed)
    X = with_factors(3000, d, factors, seed)
    scores = 2 * X @ rng.standard_normal((d, n_classes)) / np.sqrt(d)
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    order = np.argsort(y, kind="stable")
    return X[order], y[order], *least(X[order], y[order], None, 0.1)


@pytest.mark.parametrize(("bits", "most", "share"), [(8, 50, 1 / 4), (4, 150, 1 / 8)])
@pytest.mark.parametrize(("n_classes", "factors", "d"), [(2, 1, 1000), (3, 2, 200)])
def test_classes(n_classes, factors, d, bits, most, share):
    """The minimum of LogisticRegression in float64, of sorted labels, in rounds of which there were hundreds before."""
    rounds = []
    for seed in range(3 if d < 1000 else 1):  # now and then a set takes twice as many
        X, y, lowest, decoded_rows = sorted_classes(n_classes, factors, d, seed)
        found = fitted(X, y, None, NEAREST, 4, C=0.1, tol=1e-4, bits=bits)
        reached = objective(found.coef, found.intercept, decoded_rows, y, None, 0.1)
        assert found.result.converged and reached <= lowest * (1 + 2e-4)
        assert d < 1000 or found.bytes_sent <= share * found.float32_bytes
        rounds.append(found.result.n_iter)
    assert np.median(rounds) <= most

"""Messages of a few bits, and the model that their exchange comes to, without any engine."""

from functools import reduce

import numpy as np
import pytest
from scipy.linalg import eigh
from test_parts import SEED, packed_apart

from sklearn_zipml import ZipMLRegressor
from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._shards.frame import Description, coefficients, frame_of
from sklearn_zipml._shards.gradient import answer, survey, tilt
from sklearn_zipml._shards.messages import HEADER, decoded, encoded, float32_bytes, rounding_error
from sklearn_zipml._shards.rounds import Rounds
from sklearn_zipml._shards.targets import TargetCode
from sklearn_zipml._solvers.normal_equations import SumsGrid


def test_messages_of_fewer_codes_are_unbiased():
    """Numbers that do not compress, for which a message of 1000 has fewer codes: the mean over seeds."""
    vectors = np.random.default_rng(0).uniform(-1, 1, (1, 1000))
    most = HEADER.unpack_from(encoded(vectors, 4, 0))[1]
    assert 3 <= most < 7
    found = np.mean([decoded(encoded(vectors, 4, seed << 40)) for seed in range(400)], axis=0)
    assert np.all(np.abs(found - vectors) < 5 / most / 2 / np.sqrt(400))


@pytest.mark.parametrize("bits", [4, 5, 8, 11, 16])
def test_messages_are_unbiased(bits):
    """Every number is within a step, and the mean over seeds is the number; a message is what its bits are."""
    vectors = np.random.default_rng(0).standard_normal((3, 501)) * [[1.0], [1e-30], [1e30]]
    step = np.abs(vectors).max(axis=1, keepdims=True) / ((1 << (bits - 1)) - 1)
    found = np.stack([decoded(encoded(vectors, bits, seed << 40)) for seed in range(300)])
    assert np.all(np.abs(found - vectors) <= step * (1 + 1e-6))
    # of 1503 means of 300 draws of half a step's deviation at most
    assert np.all(np.abs(found.mean(axis=0) - vectors) < 5 * step / 2 / np.sqrt(300))
    distance = np.sqrt(((found - vectors) ** 2).sum(axis=2)).mean(axis=0)
    np.testing.assert_allclose(distance, rounding_error(encoded(vectors, bits, 1)), rtol=0.2)
    message = encoded(vectors, bits, 1)
    assert len(message) <= HEADER.size + 3 * 4 + -(-3 * 501 * bits // 8)
    assert message == encoded(vectors, bits, 1)


def test_messages_of_zeros_and_one_number():
    """Zeros stay zeros; the largest magnitude is exact in float32."""
    np.testing.assert_array_equal(decoded(encoded(np.zeros((2, 7)), 4, 0)), np.zeros((2, 7)))
    np.testing.assert_array_equal(decoded(encoded(np.array([[-1.5]]), 8, 0)), [[-1.5]])


@pytest.mark.parametrize("bits", [4, 5, 8, 16])
@pytest.mark.parametrize("size", [1000, 20_000])
def test_bytes(bits, size):
    """Headers included, whatever the numbers: b bits are b / 32 of float32. Codes are as many as that allows."""
    rng = np.random.default_rng(size)
    kinds = [rng.standard_normal, rng.standard_cauchy, rng.random, lambda n: rng.choice([-1.0, 1.0], n)]
    for kind in [*kinds, lambda n: rng.uniform(-1, 1, n)]:
        for vectors in (kind(size)[None], np.stack([kind(size), 1e9 * kind(size), np.zeros(size)])):
            message = encoded(vectors, bits, 3, beside=8)
            assert len(message) + 8 <= bits / 32 * float32_bytes(*vectors.shape)
            error = np.abs(decoded(message) - vectors).max(axis=1)
            assert np.all(error <= 2.5 * np.abs(vectors).max(axis=1) / ((1 << (bits - 1)) - 1))


def exchanged(shards, bits, alpha, tol, fit_intercept=True, most=200):
    """Coefficients and intercepts that parts come to, and the Rounds."""
    code, rows = TargetCode(), shards[0].rows
    statistics = (getattr(rows, name).astype(float) for name in ("mean", "deviation", "rounding_variance"))
    common = Description(SumsGrid.of(rows), rows.dtype, rows.scheme, None, *statistics)
    weighted = shards[0].weights is not None
    seen = reduce(lambda one, other: one.joined(other), [survey([shard], code, weighted) for shard in shards])
    frame, ridge, compensated, noise = frame_of(seen, common, alpha, fit_intercept)
    rounds = Rounds(ridge, compensated, len(frame.target_mean), len(shards), (bits, bits), SEED, tol, noise)
    answers = [None] * len(shards)
    while not rounds.is_done and rounds.n_rounds < most:
        move = rounds.move()
        answers = [
            answer([shard], code, frame, one, move, rounds.rounding(k))
            for k, (shard, one) in enumerate(zip(shards, answers, strict=True))
        ]
        more = [one.more for one in answers if one.more is not None]
        rounds.receive([one.message for one in answers], [one.losses for one in answers], more)
    return *coefficients(rounds.model, frame, common, np.float64), rounds


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("settings", [{}, {"fit_intercept": False}, {"weighted": True}])
def test_rounds_end_where_full_precision_does(bits, settings):
    """At 8 bits of the samples the closed form of the same rows, with columns that depend on one another."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 30)) @ (np.eye(30) + 0.2) + (0 if "fit_intercept" in settings else 5)
    y = np.stack([X @ rng.standard_normal(30), X[:, 0]], axis=1) + rng.standard_normal((4000, 2))
    order = np.argsort(y[:, 0])
    X, y = X[order], y[order]
    shards, spans, _ = packed_apart(X, y, Scheme.of(8, "nearest", "optimal"), 4)
    weights, fit_intercept = None, settings.get("fit_intercept", True)
    if "weighted" in settings:
        weights = rng.uniform(0.5, 2, 4000)
        shards = [type(shard)(shard.rows, weights[span]) for shard, span in zip(shards, spans, strict=True)]
    coef, intercept, rounds = exchanged(shards, bits, 0.1, 1e-6, fit_intercept)
    assert rounds.is_done
    local = ZipMLRegressor(8, sampling="nearest", alpha=0.1, fit_intercept=fit_intercept, random_state=0)
    local.partial_fit(X, y, weights)
    error = (X @ (coef - local.coef_).T + intercept - local.intercept_).std(axis=0) / y.std(axis=0)
    assert error.max() < 5e-3
    assert np.all(rounds.objective[-1] < rounds.objective[0])


@pytest.mark.parametrize("bits", [4, 8])
def test_what_curvature_allows_is_taken_off(bits):
    """One factor: the closed form in float64 with tau = 1 - 4 R, where nothing but noise would allow a bit."""
    rng = np.random.default_rng(0)
    X = 0.5 * rng.standard_normal((4000, 200)) + rng.standard_normal((4000, 1)) @ rng.standard_normal((1, 200))
    y = X @ rng.standard_normal(200) / 10 + 0.5 * rng.standard_normal(4000)
    shards, spans, _ = packed_apart(X, y, Scheme.of(4, "compensated", "optimal"), 3)
    coef, _, rounds = exchanged(shards, bits, 1e-3, 1e-5)
    assert rounds.is_done
    Z = np.concatenate([np.asarray(matrix_of(shard.rows)) for shard in shards])
    targets, rows = np.concatenate([y[span] for span in spans]), shards[0].rows
    noise = rows.rounding_variance.astype(float) * rows.step**2
    gram, cross = np.cov(Z.T, bias=True) + 1e-3 * np.eye(200), (Z - Z.mean(axis=0)).T @ targets / 4000
    squares, count = sum(tilt(shard.rows) for shard in shards)
    tau = 1 - 4 * (squares / count / 200) / 4000
    smallest = eigh(gram, np.diag(noise), eigvals_only=True)[0]
    assert 0.5 < tau < smallest - 0.3  # the rule's other term is larger
    expected = np.linalg.solve(gram - tau * np.diag(noise), cross)
    error = (X @ (coef[0] - expected)).std() / y.std()
    assert error < 5e-3
    without = np.linalg.solve(gram, cross)
    assert error < 0.1 * (X @ (without - expected)).std() / y.std()


def test_compensation_that_was_too_much():
    """A matrix that is indefinite after it gets less compensation, and the rounds end."""
    rng = np.random.default_rng(0)
    hessian = np.cov(rng.standard_normal((60, 400)))
    linear = hessian @ rng.standard_normal(60)
    rounds = Rounds(np.zeros(60), np.full(60, 0.9), 1, 1, (8, 8), SEED, 1e-4)
    told = np.zeros((1, 60))
    for _ in range(300):
        rounds.move()
        message = encoded(rounds.known @ hessian - linear - told, *rounds.rounding(0))
        told = told + decoded(message)
        rounds.receive([message], [np.array([0.5])])
    assert rounds.compensated.max() < np.linalg.eigvalsh(hessian)[0]
    assert np.isfinite(rounds.model).all()


def test_a_constant_target():
    """Nothing to learn, and no rounds that learn it."""
    X = np.random.default_rng(0).standard_normal((500, 3))
    shards, _, _ = packed_apart(X, np.full(500, 7.0), Scheme.of(4, "compensated", "optimal"), 2)
    coef, intercept, rounds = exchanged(shards, 8, 0.1, 1e-4)
    np.testing.assert_array_equal(coef, np.zeros((1, 3)))
    assert (intercept[0], rounds.is_done) == (7.0, True)


@pytest.mark.parametrize("bits", [4, 8])
def test_rounds_are_done_only_near_the_minimum(bits):
    """Over quadratics of many conditions, outputs and parts: within twice `tol` of it, or not done; most are."""
    done = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        d, outputs, parts = int(np.exp(rng.uniform(0, 4))), int(rng.integers(1, 4)), int(rng.integers(1, 5))
        X = rng.standard_normal((5 * d + 10, d)) @ (np.eye(d) + rng.choice([0, 0.5]) / np.sqrt(d))
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        Y = X @ rng.standard_normal((d, outputs)) + rng.choice([0.5, 5]) * rng.standard_normal((len(X), outputs))
        Y = (Y - Y.mean(axis=0)) / Y.std(axis=0)
        ridge = 10 ** rng.uniform(-5, 0)
        spans = np.array_split(np.arange(len(X)), parts)
        hessians = [X[span].T @ X[span] / len(X) for span in spans]
        linear = [Y[span].T @ X[span] / len(X) for span in spans]
        matrix, right = sum(hessians) + ridge * np.eye(d), sum(linear)
        rounds = Rounds(np.full(d, ridge), np.zeros(d), outputs, parts, (bits, bits), SEED + seed, 1e-4)
        told = [np.zeros((outputs, d))] * parts
        while not rounds.is_done and rounds.n_rounds < 100:
            rounds.move()
            messages = [
                encoded(rounds.known @ hessians[k] - linear[k] - told[k], *rounds.rounding(k)) for k in range(parts)
            ]
            told = [one + decoded(message) for one, message in zip(told, messages, strict=True)]
            residuals = Y - X @ rounds.known.T
            rounds.receive(messages, [(residuals**2).mean(axis=0) / 2])
        best = np.linalg.solve(matrix, right.T).T
        lowest = 0.5 - (best * right).sum(axis=1) / 2
        away = rounds.model - best
        assert not rounds.is_done or np.all(((away @ matrix) * away).sum(axis=1) / 2 <= 2e-4 * lowest), seed
        done += rounds.is_done
    assert done >= 38

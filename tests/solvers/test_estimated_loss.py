"""Traces behind the estimated loss of rounding are those of explicit products, or near them."""

import numpy as np
import pytest

from sklearn_zipml._solvers.rounding_loss import FittedMoments, SolvedInverse, WholeInverse, part_of


def fitted(d, n=4000, lifts=0):
    """Second moments H of noisy rows, D, ridge, tau and a lift."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.05, 0.6, d)
    rows = rng.standard_normal((n, d)) + np.sqrt(noise) * rng.standard_normal((n, d))
    lift = 0.3 * rng.standard_normal((d, lifts))
    return rows.T @ rows / n, noise, rng.uniform(0, 0.2, d), 0.8, lift


@pytest.mark.parametrize("lifts", [0, 3])
def test_traces_are_those_of_products(lifts):
    """Of the inverse A of all that was made of H."""
    H, noise, ridge, tau, lift = fitted(40, lifts=lifts)
    D, r, M = np.diag(noise), np.diag(ridge), np.diag(ridge - tau * noise) + lift @ lift.T
    A = np.linalg.inv(H + M)
    found = WholeInverse(H + M).traces(noise, ridge, tau, lift)
    G = H + M - r
    assert found.all == pytest.approx(np.trace(A @ M))
    assert found.all_within == pytest.approx(np.trace(A @ H @ A @ M))
    assert found.noise_within == pytest.approx(np.trace(A @ H @ A @ D))
    assert found.ridge == pytest.approx(np.trace(A @ r))
    assert found.ridge_within == pytest.approx(np.trace(A @ G @ A @ r))


def test_columns_that_say_the_same_count_once():
    """And columns of zeros not at all."""
    H, *_ = fitted(10)
    twice = np.zeros((21, 21))
    twice[:20, :20] = np.tile(H, (2, 2))
    assert WholeInverse(twice).rank == 10


def test_conjugate_gradients_come_to_the_same():
    """To some percent, for as many targets as there are."""
    H, noise, ridge, tau, lift = fitted(600)
    ridge *= 0.01
    matrix = H + np.diag(ridge - tau * noise)
    models = np.random.default_rng(1).standard_normal((12, 600))
    squares = models**2 @ noise
    solved = SolvedInverse(matrix.__matmul__, np.diag(matrix))
    one, other = (
        FittedMoments(inverse, noise, ridge, tau, lift, 4000.0).loss(models, squares)
        for inverse in (WholeInverse(matrix), solved)
    )
    np.testing.assert_allclose(one, other, rtol=0.15)
    exact = models[:2] @ np.linalg.inv(matrix)
    assert np.linalg.norm(solved.of(models[:2]) - exact) < 0.1 * np.linalg.norm(exact)
    assert not solved.of(np.zeros((2, 600))).any()


def test_part_of_the_variance():
    """None of a constant, all at most, and a number whatever overflows."""
    found = part_of(np.array([0.5, 3.0, 1.0, np.inf, np.nan]), np.array([1.0, 1, 0, 1, 1]), np.ones(5))
    assert found.tolist() == [0.5, 1, 0, 1, 1]

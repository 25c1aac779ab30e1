"""Integer second moments: those of the decoded rows, and the same bits whatever the division and order of rows."""

from fractions import Fraction

import numpy as np
import pytest

from sklearn_zipml import PackedMatrix
from sklearn_zipml._solvers.exact_sums import ExactSums, digits, rounded
from sklearn_zipml._solvers.packed_sums import PackedSums, noise_by_code
from sklearn_zipml._storage.decode import positions_by_row
from sklearn_zipml._storage.packed_rows import rows_of

WEIGHTS = {
    "none": lambda rng, n: None,
    "integers": lambda rng, n: rng.integers(0, 3, n).astype(float),
    "floats": lambda rng, n: 10.0 ** rng.uniform(-9, 3, n),
}


def problem(bits, weights, n=1500, d=37):
    """Packed rows, targets of unlike sizes, and weights."""
    rng = np.random.default_rng(0)
    packed = PackedMatrix.from_chunks(rng.normal(size=(n, d)) ** 3, sample_bits=bits, random_state=0)
    return packed, rng.normal(size=(n, 2)) * [1, 1e5], WEIGHTS[weights](rng, n), rng.permutation(n)


def some(packed, targets, weights, rows):
    """Sums over some rows."""
    few = None if weights is None else weights[rows]
    return PackedSums.of(rows_of(packed[rows]), targets[rows], few, with_noise_products=True)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_moments_are_those_of_decoded_rows(bits, weights):
    """In float64."""
    packed, targets, weights, _ = problem(bits, weights)
    sums = PackedSums.of(rows_of(packed), targets, weights, threads=2)
    positions = positions_by_row(rows_of(packed)).astype(float)
    w = np.ones(len(packed)) if weights is None else weights
    share = w / w.sum()
    centre = sums.mean()
    np.testing.assert_allclose(centre, share @ positions, rtol=1e-12)
    centred = positions - centre
    expected = (centred * share[:, None]).T @ centred
    size = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(sums.second_moments(centre), expected, atol=1e-12 * np.outer(size, size).max())
    cross, level, squares = sums.cross_moments(centre)
    np.testing.assert_allclose(cross, (targets * share[:, None]).T @ centred, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(level, share @ targets, rtol=1e-9)
    np.testing.assert_allclose(squares, share @ targets**2, rtol=1e-12)
    assert sums.effective_rows == pytest.approx(w.sum() ** 2 / (w @ w))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("bits", [2, 8])
def test_any_division_gives_the_same_bits(bits, weights):
    """Chunks in any order, and what is left when some are taken off."""
    packed, targets, weights, order = problem(bits, weights)
    whole = PackedSums.of(rows_of(packed), targets, weights, with_noise_products=True)
    parts = [some(packed, targets, weights, rows) for rows in np.array_split(order, 7)]
    joined = ((parts[3] + parts[0]) + parts[5]) + (parts[1] + (parts[2] + parts[6] + parts[4]))
    left = (joined + parts[0]) - parts[0]
    by_code = noise_by_code(rows_of(packed))
    for other in (joined, left):
        centre = whole.mean()
        np.testing.assert_array_equal(other.mean(), centre)
        np.testing.assert_array_equal(other.second_moments(centre), whole.second_moments(centre))
        for one, another in zip(other.cross_moments(centre), whole.cross_moments(centre), strict=True):
            np.testing.assert_array_equal(one, another)
        np.testing.assert_array_equal(other.noise(by_code), whole.noise(by_code))
        np.testing.assert_array_equal(other.noise_products, whole.noise_products)
        assert (other.n_rows, other.weight, other.effective_rows) == (1500, whole.weight, whole.effective_rows)


def test_sums_are_exact():
    """Numbers of any size, added as fractions."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(200) * 10.0 ** rng.integers(-300, 300, 200)
    values[:3] = [5e-324, np.finfo(float).max, -1e308]
    assert sum(Fraction(k) * Fraction(2) ** (30 * place) for place, some in digits(values) for k in some) == sum(
        map(Fraction, values)
    )
    sums = ExactSums()
    sums.add(np.array([[1e16, 1.0, -1e16, 2.0**-40]]))
    assert sums.values(1)[0] == 1 + 2.0**-40


def test_rounded_numbers_have_one_digit():
    """Of 30 bits below one."""
    values = rounded(np.random.default_rng(0).uniform(-0.99, 0.99, 100), 30)
    assert [place for place, _ in digits(values)] == [-1]
    assert list(digits(np.zeros(3))) == []

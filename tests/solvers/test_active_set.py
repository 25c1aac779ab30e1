"""Active sets with an l1 penalty reach the minimum where coordinate descent crawls."""

import numpy as np
import pytest

from sklearn_zipml._solvers import active_set
from sklearn_zipml._solvers.active_set import search_signs


def problem(kind, seed):
    """Rows and target, hard for coordinate descent."""
    rng = np.random.default_rng(seed)
    if kind == "alike":  # all columns nearly one
        rows = rng.normal(size=(40, 1)) + 1e-4 * rng.normal(size=(40, 30))
    elif kind == "wide":
        rows = rng.normal(size=(20, 60))
    elif kind == "copies":
        rows = np.repeat(rng.normal(size=(30, 8)), 3, axis=1)
    else:  # scales over eight decades
        rows = rng.normal(size=(50, 25)) * 10.0 ** rng.uniform(-4, 4, size=25)
    return np.asfortranarray(rows), rows @ rng.normal(size=rows.shape[1]) + rng.normal(size=len(rows))


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
@pytest.mark.parametrize("part", [1e-6, 1e-2, 0.5, 2.0])
@pytest.mark.parametrize("kind", ["alike", "wide", "copies", "scales"])
def test_optimal(kind, part, ridge):
    """No slope exceeds the penalty, those of the active columns equal it, and above the largest slope all is zero."""
    rows, target = problem(kind, 0)
    l1 = part * np.abs(rows.T @ target).max()
    w = search_signs(rows, target, l1, ridge, np.zeros(rows.shape[1]))
    slope = rows.T @ (target - rows @ w) - ridge * w
    # what float64 leaves of a slope, by the sizes that cancel in it
    rounding = 1e-11 * (np.abs(rows).T @ (np.abs(target) + np.abs(rows) @ np.abs(w)) + ridge * np.abs(w))
    assert np.all(np.abs(slope) <= l1 * (1 + 1e-8) + rounding)
    active = w != 0
    np.testing.assert_array_less(np.abs(slope[active] - l1 * np.sign(w[active])), l1 * 1e-8 + rounding[active])
    assert active.any() == (part < 1)


@pytest.mark.parametrize("kind", ["alike", "wide", "copies", "scales"])
def test_never_above_the_start(kind):
    """From any start the objective falls, and a minimum stays where it is."""
    rows, target = problem(kind, 1)
    l1 = 0.01 * np.abs(rows.T @ target).max()

    def objective(w):
        left = target - rows @ w
        return left @ left / 2 + l1 * np.abs(w).sum()

    start = np.random.default_rng(2).normal(size=rows.shape[1])
    found = search_signs(rows, target, l1, 0.0, start)
    assert objective(found) < objective(start)
    again = search_signs(rows, target, l1, 0.0, found)
    np.testing.assert_allclose(objective(again), objective(found), rtol=1e-12)
    np.testing.assert_allclose(objective(search_signs(rows, target, l1, 0.0, 0 * start)), objective(found), rtol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
def test_systems_beyond_the_bound_are_not_solved(ridge, monkeypatch):
    """The first system counts too, with the rows that a ridge adds: of many active columns it may take minutes."""
    rows, target = problem("wide", 3)
    n, d = rows.shape
    start = np.ones(d)
    products = (n + (d if ridge else 0)) * d**2
    monkeypatch.setattr(active_set, "MOST_PRODUCTS", products - 1)
    np.testing.assert_array_equal(search_signs(rows, target, 1e-3, ridge, start), start)
    monkeypatch.setattr(active_set, "MOST_PRODUCTS", products)
    assert np.any(search_signs(rows, target, 1e-3, ridge, start) != start)

"""Epochs against their slow twin."""

import numpy as np
import pytest
import reference
from problems import data, problem_of, stored_rows

from sklearn_zipml._kernels import epochs as epoch_kernels
from sklearn_zipml._kernels import row_order as order_kernels
from sklearn_zipml._solvers.anchor import Anchor
from sklearn_zipml._solvers.objective import Quadratic, Rule

BITS = [(None, None), (8, None), (None, 8), (4, 4), (2, 3), (1, 8), (8, 1), (12, 16)]


@pytest.mark.parametrize(("model_bits", "gradient_bits"), BITS)
@pytest.mark.parametrize("sample_bits", [1, 2, 4, 8, None])
@pytest.mark.parametrize(
    ("batch", "weighted", "n"), [(16, False, 1180), (32, True, 300), (48, False, 300), (64, True, 77)]
)
def test_saga_epoch_equals_the_twin(sample_bits, model_bits, gradient_bits, batch, weighted, n):
    """All integers and all floats, two targets at once, with an l1 penalty in half the cases; 19 tiles see a fold."""
    d = 5 if n > 1000 else 19
    X, y = data(n, d)
    weights = np.random.default_rng(0).uniform(0.1, 3, n) if weighted else None
    problem, targets = problem_of(X, np.stack([y, X[:, 0]]), sample_bits, weights=weights)
    quadratic = Quadratic(problem, targets, 1e-3, np.array([0.1, 0.02]) if batch in (16, 48) else None)
    start = np.random.default_rng(1).normal(size=(2, d)) * problem.unit
    anchor = Anchor(quadratic, start)
    table_residual = 0.01 * targets
    offset = np.zeros(anchor.z.shape, dtype=np.float32)
    offset[:, :d] = 0.1 * start[::-1]
    rule = Rule.of(0.01, quadratic, quadratic.noise)
    order = order_kernels.permutation(problem.tiles.n_tiles, 5, 0, problem.tiles.n_tiles)
    bits = (model_bits or 0, gradient_bits or 0)
    constants = (quadratic.centre, rule.keep, rule.step, 0.07, 1 / n)
    penalty_gradient = quadratic.penalty_gradient(anchor.z)
    own = problem.weights.astype(np.float32) if weighted else np.ones(problem.n_slots, dtype=np.float32)
    arrays = (table_residual, penalty_gradient, anchor.gradient, offset)
    l1 = (rule.threshold, anchor.z.astype(np.float32))
    lasts = reference.grids_last(problem.tiles.width, batch, quadratic.padded, bits[0])
    rows = stored_rows(problem)
    expected = reference.saga_epoch(rows, n, own, order, batch, *constants, bits, 99, *arrays, *l1, lasts)
    batches = epoch_kernels.Batches(problem.tiles, quadratic.rows, order, batch, quadratic.centre, 0.07)
    steps = epoch_kernels.Steps(rule.keep, rule.step, *bits, 99, rule.shrinkage(anchor.z))
    assert epoch_kernels.saga_epoch(batches, steps, *arrays)
    for found, twin in zip((table_residual, anchor.gradient, offset), expected, strict=True):
        np.testing.assert_array_equal(found, twin)
    assert (
        np.isfinite(offset).all()
        and np.abs(offset - 0.1 * np.pad(start[::-1], ((0, 0), (0, quadratic.padded - d)))).max() > 0
    )


@pytest.mark.parametrize(("model_bits", "gradient_bits"), BITS)
@pytest.mark.parametrize("sample_bits", [1, 2, 4, 8, None])
@pytest.mark.parametrize(
    ("batch", "weighted", "n"), [(16, False, 1180), (32, True, 300), (48, False, 300), (64, True, 77)]
)
def test_sgd_epoch_equals_the_twin(sample_bits, model_bits, gradient_bits, batch, weighted, n):
    """Iterates and their average."""
    d = 5 if n > 1000 else 19
    X, y = data(n, d)
    weights = np.random.default_rng(0).uniform(0.1, 3, n) if weighted else None
    problem, targets = problem_of(X, np.stack([y, X[:, 0]]), sample_bits, weights=weights)
    quadratic = Quadratic(problem, targets, 1e-3, np.array([0.1, 0.02]) if batch in (16, 48) else None)
    model = np.zeros((2, quadratic.padded), dtype=np.float32)
    model[:, :d] = np.random.default_rng(1).normal(size=(2, d)) * problem.unit
    rule = Rule.of(0.01, quadratic, quadratic.noise)
    order = order_kernels.permutation(problem.tiles.n_tiles, 5, 0, problem.tiles.n_tiles)
    bits = (model_bits or 0, gradient_bits or 0)
    unit = np.divide(1, quadratic.unit, out=np.zeros_like(quadratic.unit), where=quadratic.unit > 0)
    constants = (quadratic.centre, rule.keep, rule.step, 0.07)
    own = problem.weights.astype(np.float32) if weighted else np.ones(problem.n_slots, dtype=np.float32)
    last, average = reference.sgd_epoch(
        stored_rows(problem), n, targets, own, order, batch, *constants, bits, 99, unit, model, rule.threshold
    )
    out = np.full(model.shape, np.nan)
    batches = epoch_kernels.Batches(problem.tiles, quadratic.rows, order, batch, quadratic.centre, 0.07)
    steps = epoch_kernels.Steps(rule.keep, rule.step, *bits, 99, rule.shrinkage(np.zeros_like(out)))
    assert epoch_kernels.sgd_epoch(batches, steps, unit, model, out)
    np.testing.assert_array_equal(model, last)
    np.testing.assert_array_equal(out, average)


@pytest.mark.parametrize("sample_bits", [2, 8, None])
def test_epochs_report_what_is_not_finite(sample_bits):
    """They stop; nothing is raised."""
    X, y = data()
    problem, targets = problem_of(X, y, sample_bits)
    quadratic = Quadratic(problem, targets, 0.0)
    anchor = Anchor(quadratic, np.zeros((1, problem.d)))
    offset, table_residual = np.zeros(anchor.z.shape, dtype=np.float32), np.zeros_like(targets)
    rule = Rule.of(0.01, quadratic, quadratic.noise)
    order = np.arange(problem.tiles.n_tiles)
    offset[0, 1] = np.inf
    batches = epoch_kernels.Batches(problem.tiles, quadratic.rows, order, 16, quadratic.centre, 0.07)
    steps = epoch_kernels.Steps(rule.keep, rule.step, 0, 0, 1)
    arrays = (table_residual, np.zeros_like(anchor.z), anchor.gradient, offset)
    assert not epoch_kernels.saga_epoch(batches, steps, *arrays)
    model, average = offset.copy(), np.zeros(anchor.z.shape)
    unit = np.ones(quadratic.padded, dtype=np.float32)
    assert not epoch_kernels.sgd_epoch(batches, steps, unit, model, average)


def test_losses_without_a_rule_are_refused():
    """By their name, before a step is made."""
    X, y = data()
    problem, targets = problem_of(X, y, 4)
    quadratic = Quadratic(problem, targets, 0.0)
    rule, order = Rule.of(0.01, quadratic, quadratic.noise), np.arange(problem.tiles.n_tiles)
    batches = epoch_kernels.Batches(problem.tiles, quadratic.rows, order, 16, quadratic.centre, 0.07, "hinge")
    steps, z = epoch_kernels.Steps(rule.keep, rule.step, 0, 0, 1), np.zeros((1, quadratic.padded))
    with pytest.raises(ValueError, match="no epochs for the loss 'hinge'"):
        epoch_kernels.sgd_epoch(batches, steps, quadratic.unit, z.astype(np.float32), z)

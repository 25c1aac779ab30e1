"""Step sizes over the epochs."""

import pytest

from sklearn_zipml._solvers.step_schedule import PATIENCE, Schedule


@pytest.mark.parametrize("kind", ["auto", "adaptive"])
def test_adaptive_halves_when_nothing_is_gained(kind):
    """Down to the smallest size, 1/64 or a hundred times the tolerance."""
    schedule = Schedule(kind, 0.5, 1e-2)
    assert schedule.is_adaptive
    sizes = []
    for epoch in range(1, 20):
        sizes.append(schedule.factor(epoch))
        if schedule.is_over(gained=epoch % 2 == 1):
            break
    assert sizes == [1, 1, 1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 8, 1 / 8, 1 / 16, 1 / 16, 1 / 32, 1 / 32, 1 / 64, 1 / 64]


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_inverse_scaling(power):
    """1 / epoch ** power, whatever was gained."""
    schedule = Schedule("invscaling", power, 1e-4)
    for epoch in range(1, 8):
        assert schedule.factor(epoch) == pytest.approx(1 / epoch**power)
        schedule.is_over(gained=epoch % 2 == 0)
    assert not schedule.is_adaptive


@pytest.mark.parametrize("kind", ["constant", "invscaling"])
def test_patience(kind):
    """So many epochs in a row without a gain end a fit whose steps are not adapted."""
    schedule = Schedule(kind, 0.5, 1e-4)
    gains = [True, *[False] * (PATIENCE - 1), True, *[False] * PATIENCE]
    assert [schedule.is_over(gain) for gain in gains] == [False] * (len(gains) - 1) + [True]
    if kind == "constant":
        assert schedule.factor(7) == 1


def test_patience_of_adaptive_steps():
    """A size is halved after so many epochs in a row without a gain, and the count begins anew."""
    schedule = Schedule("auto", 0.5, 1e-4, patience=2)
    sizes = []
    for gained in (False, True, False, False, False, False, True, False):
        assert not schedule.is_over(gained)
        sizes.append(schedule.factor(1))
    assert sizes == [1, 1, 1, 1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 4]

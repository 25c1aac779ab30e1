"""The coordinates that rounds are in, out of what the parts tell of their rows."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._solvers.compensation import noisy_columns, tau_of
from .._solvers.problem import SMALLEST

MOST_COMPENSATED = 0.8  # of the rounding variance, before the smallest curvature of the rows is known


@dataclass(frozen=True)
class Description:
    """What all parts of rows that were packed on one grid have in common.

    Attributes
    ----------
    grid : SumsGrid
    dtype : dtype of decoded rows
    scheme : Scheme
    feature_names : tuple of str or None
    mean, deviation, rounding_variance : float64 (columns,), of all rows, without weights, in grid steps
    """

    grid: object
    dtype: np.dtype
    scheme: object
    feature_names: tuple | None
    mean: np.ndarray
    deviation: np.ndarray
    rounding_variance: np.ndarray


class Scaling(NamedTuple):
    """Columns as models and gradients are exchanged.

    Attributes
    ----------
    centre : float64 (columns,), grid positions that are taken off
    about, ridge : float64 (columns,), root of the mean square about the centre, and the penalty, in grid steps
    unit : float64 (columns,), model in grid steps of one in the exchanged coordinates; 0 where it cannot be one
    """

    centre: np.ndarray
    about: np.ndarray
    ridge: np.ndarray
    unit: np.ndarray


@dataclass(frozen=True)
class Noise:
    """What is known of rounding, for how much of its variance is taken off.

    Attributes
    ----------
    variance : float64 (numbers of a model,), in the exchanged coordinates
    ratio : float, R of `compensation.compensation`
    """

    variance: np.ndarray
    ratio: float

    def tau(self, smallest):
        """The part to be taken off by the diagonal rule, smallest being the smallest ratio of curvature to variance."""
        return tau_of(self.ratio, lambda: smallest)


@dataclass(frozen=True)
class Frame:
    """The coordinates that all parts compute in, which they make of statistics that they have.

    Attributes
    ----------
    alpha : float, ridge penalty on coefficients in units of X
    tau : float, part of the rounding variance that is taken off
    is_centred : bool, whether there is an intercept
    has_level : bool, whether models have it for their last number: centres are those of rows without weights
    target_mean, target_scale : float64 (outputs,)
    weight : float, of all rows
    """

    alpha: float
    tau: float
    is_centred: bool
    has_level: bool
    target_mean: np.ndarray
    target_scale: np.ndarray
    weight: float

    @property
    def nbytes(self):
        """What it takes to send it."""
        return 26 + self.target_mean.nbytes + self.target_scale.nbytes

    def size_of(self, rows):
        """How many numbers a model has."""
        return rows.shape[1] + self.has_level

    def scaling(self, rows):
        """The Scaling of PackedRows."""
        statistics = (getattr(rows, name).astype(np.float64) for name in ("mean", "deviation", "rounding_variance"))
        return scaling(rows, *statistics, self.alpha, self.tau, self.is_centred)


def scaling(grid, mean, deviation, noise, alpha, tau, is_centred):
    """The Scaling that makes the curvature along every column one; grid: has offset and step."""
    centre = mean if is_centred else -grid.offset / grid.step
    about = np.hypot(deviation, mean - centre)
    used = (about > SMALLEST) & (about < 1 / SMALLEST) & (deviation > 0 if is_centred else True)
    with np.errstate(over="ignore", divide="ignore"):
        ridge = np.where(used, alpha / grid.step**2, 0.0)
        unit = np.where(used, 1 / np.sqrt(np.where(used, about**2 + ridge - tau * noise, 1.0)), 0.0)
    return Scaling(np.where(used, centre, 0.0), about, ridge, unit)


def frame_of(seen, common, alpha, fit_intercept):
    """Coordinates in which the curvature along every column is one, about, with weights.

    Parameters
    ----------
    seen : Survey of all rows
    common : Description of the parts
    alpha : float, ridge penalty on coefficients in units of X
    fit_intercept : bool

    Returns
    -------
    Frame
    ridge, compensated : float64 (numbers of a model,), see `Rounds`
    noise : Noise, or None where no more can be taken off than is
    """
    statistics = common.mean, common.deviation, common.rounding_variance
    plain = scaling(common.grid, *statistics, alpha, 0.0, fit_intercept)
    noise = common.rounding_variance if seen.noise is None else seen.noise.means(common.rounding_variance)
    noise = np.where(plain.unit > 0, noise, 0.0)
    ratio = _ratio(seen, common.grid, noise, plain.about)
    # the smallest curvature that the rule asks for is not known yet: as if there were nothing but noise
    tau = min(MOST_COMPENSATED, tau_of(ratio, lambda: (1 - np.sqrt(ratio)) ** 2)) if noise.any() else 0.0
    target_mean = seen.targets[0] / seen.weight if fit_intercept else np.zeros(seen.targets.shape[1])
    spread = np.sqrt(np.maximum(seen.targets[1] / seen.weight - target_mean**2, 0))
    scale = np.where(spread <= 1e-12 * np.abs(target_mean), np.inf, spread)
    has_level = fit_intercept and seen.noise is not None
    frame = Frame(alpha, tau, fit_intercept, has_level, target_mean, scale, seen.weight)
    unit = scaling(common.grid, *statistics, alpha, tau, fit_intercept).unit
    with np.errstate(over="ignore", invalid="ignore"):
        ridge = np.where(unit > 0, plain.ridge * unit**2, 0.0)
    beside = np.zeros(int(has_level))
    variance = np.append(noise * unit**2, beside)
    more = Noise(variance, ratio) if variance.any() and tau < tau_of(ratio, lambda: np.inf) else None
    return frame, np.append(ridge, beside), tau * variance, more


def _ratio(seen, grid, noise, about):
    """R of `compensation.compensation`."""
    noisy = noisy_columns(np.divide(noise, about**2, out=np.zeros(len(noise)), where=about > 0))
    count, effective = int(noisy.sum()), seen.weight**2 / seen.squared_weight
    spread = 1.0 if seen.tilt[1] == 0 else max(1.0, seen.tilt[0] / seen.tilt[1] / count**2)
    return count * spread * (1 / effective + (1 - 1 / effective) * grid.collision_probability)


def coefficients(model, frame, common, dtype):
    """Coefficients (outputs, features) and intercepts (outputs,) of a model in these coordinates, float64."""
    grid, scale = common.grid, np.where(np.isfinite(frame.target_scale), frame.target_scale, 0.0)
    statistics = common.mean, common.deviation, common.rounding_variance
    columns = scaling(grid, *statistics, frame.alpha, frame.tau, frame.is_centred)
    coef = model[:, : len(grid.step)] * columns.unit / grid.step * scale[:, None]
    coef = coef.astype(dtype).astype(np.float64)  # the intercept goes with what coef_ will hold
    level = model[:, -1] * scale if frame.has_level else 0.0
    return coef, frame.target_mean + level - coef @ (grid.offset + grid.step * columns.centre)

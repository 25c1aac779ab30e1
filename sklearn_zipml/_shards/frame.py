"""The coordinates that rounds are in, out of what the parts tell of their rows."""

from dataclasses import dataclass

import numpy as np

from .._solvers.compensation import noisy_columns, tau_of
from .._solvers.problem import SMALLEST
from .gradient import Frame

MOST_COMPENSATED = 0.8  # of the rounding variance, where the smallest curvature of the rows is not looked for


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


def frame_of(seen, common, alpha, fit_intercept):
    """Coordinates in which the curvature along every column is one.

    Parameters
    ----------
    seen : Survey of all rows
    common : Description of the parts
    alpha : float, ridge penalty on coefficients in units of X
    fit_intercept : bool

    Returns
    -------
    Frame
    ridge, compensated : float64 (columns,), see `Rounds`
    """
    grid = common.grid
    if seen.columns is None:
        mean, deviation, noise = common.mean, common.deviation, common.rounding_variance
    else:
        mean, square, noise = seen.columns / seen.weight
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
    centre = mean if fit_intercept else -grid.offset / grid.step
    about = np.hypot(deviation, mean - centre)
    used = (about > SMALLEST) & (about < 1 / SMALLEST) & (deviation > 0 if fit_intercept else True)
    noise = np.where(used, noise, 0.0)
    with np.errstate(over="ignore", divide="ignore"):
        ridge = np.where(used, alpha / grid.step**2, 0.0)
        compensated = _tau(seen, grid, noise, about) * noise
        unit = np.where(used, 1 / np.sqrt(np.where(used, about**2 + ridge - compensated, 1.0)), 0.0)
    target_mean = seen.targets[0] / seen.weight if fit_intercept else np.zeros(seen.targets.shape[1])
    spread = np.sqrt(np.maximum(seen.targets[1] / seen.weight - target_mean**2, 0))
    constant = spread <= 1e-12 * np.abs(target_mean)
    frame = Frame(np.where(used, centre, 0.0), unit, target_mean, np.where(constant, np.inf, spread), seen.weight)
    return frame, ridge * unit**2, compensated * unit**2


def _tau(seen, grid, noise, about):
    """The part of the rounding variance that is subtracted: the diagonal rule of `compensation`.

    The smallest curvature that it asks for is taken to be that of nothing but noise.
    """
    noisy = noisy_columns(np.divide(noise, about**2, out=np.zeros(len(noise)), where=about > 0))
    if not noise.any():
        return 0.0
    count, effective = int(noisy.sum()), seen.weight**2 / seen.squared_weight
    spread = 1.0 if seen.tilt[1] == 0 else max(1.0, seen.tilt[0] / seen.tilt[1] / count**2)
    ratio = count * spread * (1 / effective + (1 - 1 / effective) * grid.collision_probability)
    return min(MOST_COMPENSATED, tau_of(ratio, lambda: (1 - np.sqrt(ratio)) ** 2))


def coefficients(model, frame, common, dtype):
    """Coefficients (outputs, features) and intercepts (outputs,) of a model in these coordinates, float64."""
    grid, scale = common.grid, np.where(np.isfinite(frame.target_scale), frame.target_scale, 0.0)
    coef = model * frame.unit / grid.step * scale[:, None]
    coef = coef.astype(dtype).astype(np.float64)  # the intercept goes with what coef_ will hold
    return coef, frame.target_mean - coef @ (grid.offset + grid.step * frame.centre)

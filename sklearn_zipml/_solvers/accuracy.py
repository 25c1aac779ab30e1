"""When an exact solution is exact enough."""

import numpy as np

# What may be left to gain, in parts of the objective, and of that of the zero model: the rounding of float64.
OF_OBJECTIVE, OF_START = 1e-10, 1e-19


def is_reached(gap, objective, start):
    """Whether all gaps are what rounding leaves; float64 (targets,) each, `start` the objectives of the zero model."""
    return bool(np.all(gap <= OF_OBJECTIVE * np.abs(objective) + OF_START * start))

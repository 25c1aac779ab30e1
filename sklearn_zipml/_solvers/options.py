"""What the solvers are given and what they return."""

from dataclasses import dataclass, field

import numpy as np

# Times that a step size which diverges is halved.
HALVINGS = 30


@dataclass(frozen=True)
class Options:
    """Solver settings: the estimators' parameters of the same names.

    Bits None mean 8 in saga, 16-bit fixed point in sgd, and no rounding on float samples.
    """

    solver: str = "saga"
    learning_rate: object = "auto"
    schedule: str = "auto"
    power_t: float = 0.5
    batch_size: object = "auto"
    max_iter: int = 100
    tol: float = 1e-4
    model_bits: int | None = None
    gradient_bits: int | None = None


@dataclass
class Result:
    """What a solver found: z (targets, columns) in code space and how it got there."""

    z: np.ndarray
    n_iter: int
    converged: bool
    losses: list = field(default_factory=list)
    bytes_read: list = field(default_factory=list)


def step_size_of(options, automatic):
    """Step size from the automatic one."""
    return automatic if options.learning_rate == "auto" else automatic * options.learning_rate

"""What the solvers are given and what they return."""

from dataclasses import dataclass, field

import numpy as np

# Times that a step size which diverges is halved.
HALVINGS = 30
# Part of the first objective that rounding hides: residuals of some 1e-9 of the targets.
ROUNDING = 1e-17
# The same of a loss that falls towards zero for ever where classes are told apart perfectly.
PERFECT = 1e-13


@dataclass(frozen=True)
class Options:
    """Solver settings: the estimators' parameters of the same names.

    Bits None mean 8 in saga, 16-bit fixed point in sgd, and no rounding on float samples. wants_epochs keeps "auto"
    from an exact solution: somebody looks at the epochs.
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
    wants_epochs: bool = False


@dataclass
class Result:
    """What a solver found, and how it got there.

    Attributes
    ----------
    z : float64 (targets, columns), in code space
    n_iter : int
    solver : str, the one that found it
    objective, gap : float64 (targets,), and how far above its minimum it may be
    ended : str, why the solver ended where the gap is not within the tolerance
    losses : list of float64 (targets,), objectives before the first and after every epoch
    bytes_read : list of int, by then
    stopped : bool, whether the caller ended it
    tol : float, the part of the objective that the gap was to be within; 0 asks for nothing
    rounding : float, the part of the first objective that counts for nothing
    """

    z: np.ndarray
    n_iter: int
    solver: str
    objective: np.ndarray
    gap: np.ndarray
    ended: str = ""
    losses: list = field(default_factory=list)
    bytes_read: list = field(default_factory=list)
    stopped: bool = False
    tol: float = 0.0
    rounding: float = ROUNDING

    @property
    def converged(self):
        """Whether the solver did what it was asked for."""
        return self.tol <= 0 or self.stopped or self.is_within(self.tol)

    def is_within(self, tol):
        """Whether every target's objective is within a part tol of its minimum, or of the rounding of its start."""
        return bool(np.all(self.gap <= tol * np.abs(self.objective) + self.rounding * np.abs(self.losses[0])))


def step_size_of(options, automatic):
    """Step size from the automatic one."""
    return automatic if options.learning_rate == "auto" else automatic * options.learning_rate

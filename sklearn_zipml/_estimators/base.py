"""What both estimators share: parameters, quantizing the training rows, running the solver, and coefficients."""

from copy import copy
from dataclasses import dataclass
from functools import partial
from math import ceil
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._kernels import row_order as order_kernels
from .._kernels.threads import N_JOBS, threads_of
from .._packed_matrix import PackedMatrix
from .._quantization.levels import column_range
from .._scheme import CONSTRAINTS, check_draws
from .._seeds import draw_seed
from .._solvers.moments_by_target import MomentsByTarget
from .._solvers.normal_equations import NormalEquations
from .._solvers.objective import Quadratic
from .._solvers.problem import Problem
from .._solvers.rounding_loss import rounding_loss
from .._solvers.solver import Options as SolverOptions
from .._solvers.solver import objective_of, solve
from .._state import StableState
from .._warnings import warn
from .callbacks import CallbackSupportMixin
from .convergence import not_converged
from .doc_link import DocumentationLink
from .guard import CheckedParameters
from .missing_targets import known_rows
from .predict import linear_predictions
from .rounding import warn_of_rounding
from .standardized_targets import standardized_targets
from .training_rows import fresh_sampling, sampling_of, tell_samples, training_rows
from .validation import check_samples

STORED_BITS = 8  # of the store that resample="epoch" draws from
# Parameters that are about epochs, and their defaults.
EPOCH_SETTINGS = {"model_bits": None, "gradient_bits": None, "learning_rate": "auto", "schedule": "auto"}


class ZipMLModel(StableState, CheckedParameters, DocumentationLink, CallbackSupportMixin, BaseEstimator):
    """Least squares on packed samples; see ZipMLRegressor and ZipMLLSSVC."""

    _parameter_constraints: dict = {
        **CONSTRAINTS,
        "sample_bits": [*CONSTRAINTS["sample_bits"], None],
        "model_bits": [Interval(Integral, 1, 16, closed="both"), None],
        "gradient_bits": [Interval(Integral, 1, 16, closed="both"), None],
        "resample": [StrOptions({"epoch"}), None],
        "fit_intercept": ["boolean"],
        "solver": [StrOptions({"auto", "gram", "saga", "sgd"})],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "schedule": [StrOptions({"auto", "constant", "adaptive", "invscaling"})],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Options(Integral, {16, 32, 48, 64}), StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "n_jobs": N_JOBS,
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # second moments of the rows that partial_fit has seen, None before and after fit, and the unit of their weights
    _moments = None
    _weight_unit = 1.0

    def _check_combination(self):
        """Refuse settings that make no sense together."""
        check_draws(self.sample_bits, self.sampling, self.n_draws)
        if self.solver in ("gram", "saga") and self.schedule in ("adaptive", "invscaling"):
            raise ValueError(
                f"schedule={self.schedule!r} needs solver='sgd', got solver={self.solver!r}: only its steps have to "
                "diminish. Set schedule='auto', or solver='sgd'."
            )
        chosen = self._chosen_epochs()
        if self.solver == "gram" and chosen:
            raise ValueError(
                f"solver='gram' has no epochs, but {chosen[0]}={getattr(self, chosen[0])!r} is about them. Leave it at "
                "its default, or set solver='saga'."
            )
        if self.resample is None:
            return
        if self.solver in ("gram", "saga"):
            raise ValueError(
                f"resample='epoch' needs solver='sgd', got solver={self.solver!r}: the others keep a residual of every "
                "row, which means nothing for another draw of it."
            )
        if self.sample_bits is None or self.sample_bits >= STORED_BITS or self.sampling == "nearest":
            raise ValueError(
                f"resample='epoch' draws samples of fewer than {STORED_BITS} bits at random, got "
                f"sample_bits={self.sample_bits!r} and sampling={self.sampling!r}."
            )
        if self.n_draws > 2:
            raise ValueError(
                f"resample='epoch' requantizes codes of at most two draws, got n_draws={self.n_draws}: leave n_draws=2."
            )

    def _fit_linear(self, X, targets, weights, penalty, task, dtype, stratify=None):
        """Fit coef_ and intercept_ of shape (outputs, ...) to centred or uncentred targets.

        Parameters
        ----------
        X : validated array or PackedMatrix (n_samples, n_features)
        targets : float64 or float32 (n_samples, outputs)
        weights : float64 (n_samples,) or None
        penalty : callable(total weight) -> alpha, of which l1_ratio is the l1 penalty's
        task : FitTask
        dtype : dtype that coef_ will have
        stratify : array or None, for the validation split

        Returns
        -------
        coef (outputs, features), intercept (outputs,), float64
        """
        self._check_combination()
        self._moments = None
        random_state = check_random_state(self.random_state)
        pack_seed, solver_seed = draw_seed(random_state), draw_seed(random_state)
        rows, held_out = self._split(len(targets), weights, random_state, stratify)
        matrix = self._training_samples(X, rows, pack_seed)
        fit = self._standardized(matrix, targets, weights, rows, penalty, task)
        coefficients = partial(fit.coefficients, dtype=dtype)
        monitor = _Monitor(self, X, targets, weights, held_out, coefficients, task)
        task.begin_epoch()
        result = solve(
            fit.objective,
            fit.options,
            solver_seed,
            start=self._start(len(fit.scale), fit.objective.problem, fit.scale),
            on_epoch=monitor,
            draw=self._redraw(matrix, pack_seed),
        )
        if not result.converged:
            warn(not_converged(self, result), ConvergenceWarning)
        self._n_rows, self._total_weight = len(targets), fit.total
        self._set_history(result, matrix, fit.scale, monitor)
        self.rounding_loss_ = rounding_loss(fit.objective, result.z, result.objective)
        warn_of_rounding(self, fit.objective, result.objective)
        coef, intercept = coefficients(result.z if monitor.best is None else monitor.best)
        if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
            raise ValueError("The coefficients exceed the range of float64: rescale X or y.")
        return coef, intercept

    def _standardized(self, matrix, targets, weights, rows, penalty, task):
        """The _StandardizedFit of some rows, packed, and their targets and weights; see _fit_linear."""
        if rows is not None:
            targets, weights = targets[rows], None if weights is None else weights[rows]
        total = float(len(targets) if weights is None else weights.sum())
        if weights is not None and np.ptp(weights) == 0:
            weights = None
        problem = Problem(matrix, weights, self.fit_intercept, threads_of(self.n_jobs))
        slots, mean, scale = standardized_targets(
            matrix, targets, weights, centred=self.fit_intercept, n_slots=problem.n_slots, n_jobs=self.n_jobs
        )
        options, alpha = self._solver_options(task), penalty(total)
        l2, l1 = alpha * (1 - self.l1_ratio), alpha * self.l1_ratio / scale
        return _StandardizedFit(objective_of(problem, slots, l2, options, l1), options, mean, scale, total)

    def _solver_options(self, task):
        names = ("learning_rate", "schedule", "power_t", "batch_size", "max_iter", "tol", "model_bits", "gradient_bits")
        wants_epochs = bool(self._chosen_epochs()) or self.tol == 0 or task.is_heard
        settings = {name: getattr(self, name) for name in names}
        return SolverOptions(solver=self._solver(), **settings, wants_epochs=wants_epochs)

    def _set_history(self, result, matrix, scale, monitor):
        """The attributes that tell how the fit went."""
        self.n_iter_, self.solver_ = result.n_iter, result.solver
        self.loss_curve_ = _in_units_of_y(result.losses, scale)
        if self.early_stopping:
            self.validation_scores_ = monitor.scores
        self.bytes_read_curve_ = result.bytes_read
        tell_samples(self, matrix)

    def _chosen_epochs(self):
        """Names of the parameters that were set and are about epochs."""
        names = [name for name, default in EPOCH_SETTINGS.items() if getattr(self, name) != default]
        return names + (["early_stopping"] if self.early_stopping else [])

    def _solver(self):
        """The solver that the settings ask for; "auto" if they leave it open."""
        if self.solver == "auto" and (self.resample is not None or self.schedule in ("adaptive", "invscaling")):
            return "sgd"
        return self.solver

    def _partial_fit_linear(self, X, targets, weights, penalty, dtype):
        """Take rows into account; the coefficients that minimise the objective on all rows so far. See _fit_linear."""
        self._check_combination()
        if self.resample is not None:
            raise ValueError("resample='epoch' draws anew in every epoch, and partial_fit has none; use fit.")
        if self.l1_ratio > 0:
            raise ValueError(
                f"l1_ratio={self.l1_ratio} needs epochs, and partial_fit has none; use fit, or l1_ratio=0."
            )
        moments = copy(self._moments)  # so that a chunk that fails has not been counted
        if moments is None:
            moments = NormalEquations(X.shape[1], targets.shape[1], draw_seed(check_random_state(self.random_state)))
        # the first chunk is packed as by fit; later ones get draws of their own
        seed = order_kernels.mix(moments.seed, moments.n_chunks) if moments.n_chunks else moments.seed
        weights, counts = (np.ones(len(targets)), True) if weights is None else (weights, weights > 0)
        if getattr(self, "missing_target", "error") == "drop":
            moments, counts = MomentsByTarget.of(moments), counts & known_rows(targets)
        rows = None if np.all(counts) else np.flatnonzero(counts)
        if self.sample_bits is None and not isinstance(X, PackedMatrix):
            column_range(X, rows, getattr(self, "feature_names_in_", None))  # raises for NaN and infinity
            matrix = X if rows is None else X[rows]
        else:
            matrix = self._training_samples(X, rows, seed)
        some = (targets, weights) if rows is None else (targets[rows], weights[rows])
        moments.add(matrix, *some, threads_of(self.n_jobs))
        alpha = penalty(moments.total)
        found = moments.minimum(alpha, self.fit_intercept, dtype)
        coef, intercept, loss = found.coef, found.intercept, found.objective
        if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
            raise ValueError("The coefficients exceed the range of float64: rescale X or y.")
        self._n_rows, self._total_weight = moments.n_rows, moments.total
        self.n_iter_ = 1
        self.loss_curve_ = [loss] if self._moments is None else [*self.loss_curve_, loss]
        self.sample_bits_, self.sampling_ = getattr(matrix, "sample_bits", None), sampling_of(self, matrix)
        self._moments, self.rounding_loss_ = moments, found.rounding_loss()
        return coef, intercept

    def _split(self, n, weights, random_state, stratify):
        """Rows to train on (None: all) and to validate on (None: none); rows of weight zero are in neither."""
        rows = None if weights is None or weights.all() else np.flatnonzero(weights)
        if not self.early_stopping:
            return rows, None
        rows = np.arange(n) if rows is None else rows
        try:
            rows, held_out = train_test_split(
                rows,
                test_size=max(2, ceil(self.validation_fraction * len(rows))),  # R² of one row is nothing
                random_state=random_state,
                stratify=None if stratify is None else stratify[rows],
            )
        except ValueError as error:
            raise ValueError(
                f"early_stopping=True cannot set aside validation_fraction={self.validation_fraction} of "
                f"n_samples={len(rows)}: {error}"
            ) from error
        return np.sort(rows), held_out

    def _training_samples(self, X, rows, seed):
        """The training rows as tiles: X packed, X requantized, or X as floats."""
        bits = self.sample_bits if self.resample is None else STORED_BITS
        return training_rows(self, X, rows, bits, seed)

    def _redraw(self, matrix, seed):
        """Fresh samples for every epoch, if asked for."""
        if self.resample is None:
            return None
        from .._quantization.requantize import requantizer

        draw = requantizer(matrix, self.sample_bits, self.n_jobs, self.outliers, fresh_sampling(self))
        return lambda epoch: draw(order_kernels.mix(seed, 1000 + epoch))

    def _start(self, n_outputs, problem, scale):
        """Initial z: the last solution if warm_start, else zero."""
        if not self.warm_start or not hasattr(self, "coef_"):
            return None
        coef = np.atleast_2d(np.asarray(self.coef_, dtype=np.float64))
        for what, before, now in (("features", coef.shape[1], problem.d), ("outputs", len(coef), n_outputs)):
            if before != now:
                raise ValueError(
                    f"warm_start=True: the previous fit had {before} {what}, this one has {now}; set warm_start=False."
                )
        return coef * problem.step / scale[:, None]

    def _predictions(self, X):
        """Decision values, float64 (n_samples, outputs)."""
        check_is_fitted(self)
        X = check_samples(self, X, reset=False)
        coef = np.atleast_2d(self.coef_)
        return linear_predictions(X, coef, np.ravel(self.intercept_), self.n_jobs)


@dataclass(frozen=True)
class _StandardizedFit:
    """What is minimised for targets of size one.

    Attributes
    ----------
    objective : Quadratic
    options : Options of the solver
    mean, scale : float64 (targets,), what was taken off the targets and what they were divided by
    total : float, sum of the weights
    """

    objective: Quadratic
    options: SolverOptions
    mean: np.ndarray
    scale: np.ndarray
    total: float

    def coefficients(self, z, dtype):
        """Coefficients and intercepts of a model, float64, as `coef_` of a dtype will hold them."""
        problem = self.objective.problem
        with np.errstate(over="ignore", invalid="ignore"):  # checked at the end
            coef = z / problem.step * self.scale[:, None]
            coef[:, problem.unit == 0] = 0
            coef = coef.astype(dtype).astype(np.float64)  # the intercept goes with what coef_ will hold
            if not problem.is_centred:
                return coef, np.zeros(len(coef))
            return coef, self.mean - coef @ (problem.offset + problem.step * problem.centre)


def _in_units_of_y(losses, scale):
    """Objectives of standardized targets, in squared units of y; the largest float where that overflows."""
    with np.errstate(over="ignore"):
        return np.minimum(np.array(losses) @ scale**2, np.finfo(float).max).tolist()


class _Monitor:
    """Runs after every epoch: verbose output, callbacks, early stopping on held-out rows, which are never quantized."""

    def __init__(self, estimator, X, targets, weights, held_out, coefficients, task):
        self.estimator, self.coefficients, self.task = estimator, coefficients, task
        self.scores, self.best, self.best_score, self.stale = [], None, -np.inf, 0
        self.X = None if held_out is None else X[held_out]
        self.targets = None if held_out is None else targets[held_out].astype(np.float64)
        self.weights = None if held_out is None or weights is None else weights[held_out]

    def __call__(self, epoch, z, loss):
        if self.estimator.verbose:
            print(f"[{type(self.estimator).__name__}] epoch {epoch}: objective {loss:.6g} of standardized targets")
        told_to_stop = self.task.end_epoch(epoch, lambda: self.coefficients(z))
        return told_to_stop if self.X is None else self._is_stale(z) or told_to_stop

    def _is_stale(self, z):
        """Whether the score on the held-out rows has not improved for n_iter_no_change epochs."""
        score = self.estimator._validation_score(
            linear_predictions(self.X, *self.coefficients(z)), self.targets, self.weights
        )
        self.scores.append(float(score))
        improved = score > self.best_score + self.estimator.tol
        self.stale = 0 if improved else self.stale + 1
        if score > self.best_score:
            self.best, self.best_score = z.copy(), score
        return self.stale >= self.estimator.n_iter_no_change

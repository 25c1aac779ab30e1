"""Models of every width and penalty on every fold, and their errors on the rows that it holds out."""

from dataclasses import dataclass

import numpy as np

from .._solvers.held_out import HeldOut, Models
from .._solvers.normal_equations import MOST_COLUMNS
from .._solvers.ridge_path import TrainingMoments, is_reliable, ridge_path
from .._storage.packed_rows import rows_of
from .predict import linear_predictions
from .search_stores import FoldSums

# Columns beyond which, with fewer rows, moments of columns cost more than products of rows.
MOST_OF_FEW_ROWS = 512


@dataclass(frozen=True)
class FoldSearch:
    """What is searched.

    Attributes
    ----------
    stores : list of PackedStore or FloatStore, one for every width
    widest : the one that errors are measured on
    rows : Rows
    folds : list of (training rows, test rows)
    penalties : callable(total weight) -> alphas
    centred : bool
    row_model : callable(alpha, sample_bits) -> ZipMLRegressor, for what moments are not good enough for
    """

    stores: list
    widest: object
    rows: object
    folds: list
    penalties: object
    centred: bool
    row_model: object

    def results(self, evaluate):
        """evaluate(fold, width, models, HeldOut or None) for all; nested lists by width and fold."""
        by_moments = self.widest.grid[0].size <= MOST_COLUMNS
        held_out = {}
        scoring = FoldSums(self.widest, self.folds, len(self.rows), True) if by_moments else None
        keeps = len(self.folds) <= 16
        out = []
        for width, store in enumerate(self.stores):
            sums = scoring
            if by_moments and store is not self.widest:
                sums = FoldSums(store, self.folds, len(self.rows), False)
            out.append([])
            for k in range(len(self.folds)):
                models = self._models(store, sums, k)
                held = held_out.get(k)
                if held is None and by_moments:
                    held = HeldOut(scoring.test(k), self.widest.grid, self.widest.noise_by_code)
                    held_out |= {k: held} if keeps else {}
                out[-1].append(evaluate(k, width, models, held))
        return out

    @property
    def unit_of_errors(self):
        """What errors are given in, squared: the scale of the largest target."""
        return float(self.rows.scale.max())

    def total_weight(self, k):
        """Of the training rows of fold k, in the units of the caller's weights."""
        train, weights = self.folds[k][0], self.rows.weights
        return len(train) if weights is None else weights[train].sum() * self.rows.unit

    def _models(self, store, sums, k):
        alphas = self.penalties(self.total_weight(k))
        d, n = store.grid[0].size, len(self.folds[k][0])
        if sums is None or (n < d and d > MOST_OF_FEW_ROWS):
            return self._joined([self._by_rows(store, k, alpha) for alpha in alphas])
        offset, step = store.grid
        train = sums.train(k)
        centre = train.mean() if self.centred else -offset / step
        cross, level, _ = train.cross_moments(centre)
        moments = TrainingMoments(
            train.second_moments(centre), cross, train.noise(store.noise_by_code), step, store.ratio(train)
        )
        solutions, rcond = ridge_path(moments, alphas)
        point = offset + step * centre if self.centred else np.zeros(d)
        level = level if self.centred else np.zeros(len(level))
        models = Models(solutions / step, point, np.broadcast_to(level, solutions.shape[:2]).copy())
        for a in np.flatnonzero(~is_reliable(rcond)):
            better = self._by_rows(store, k, alphas[a], point)
            models.coef[a], models.level[a] = better.coef[0], better.level[0]
        return models

    def _by_rows(self, store, k, alpha, point=None):
        """The model that the estimator itself fits."""
        train = self.folds[k][0]
        targets, weights = self.rows.of(train)
        model = self.row_model(alpha, store.sample_bits).fit(store.take(train), targets, weights)
        coef = np.atleast_2d(model.coef_).astype(np.float64)
        point = store.grid[0] if point is None else point
        return Models(coef[None], point, (np.ravel(model.intercept_) + coef @ point)[None])

    @staticmethod
    def _joined(models):
        coef, level = (np.concatenate([getattr(model, name) for model in models]) for name in ("coef", "level"))
        return Models(coef, models[0].point, level)

    def errors(self, k, _width, models, held):
        """Mean squared errors of models on the held-out rows, float64 (models, outputs), in `unit_of_errors`."""
        if held is None:
            return self._errors_of_rows(k, models) * self.rows.share**2
        errors, doubtful = held.errors(models)
        doubtful = np.flatnonzero(doubtful.any(axis=1))
        if doubtful.size:
            some = Models(models.coef[doubtful], models.point, models.level[doubtful])
            errors[doubtful] = self._errors_of_rows(k, some)
        return errors * self.rows.share**2

    def _errors_of_rows(self, k, models):
        """The same from predictions."""
        test = self.folds[k][1]
        targets, weights = self.rows.of(test)
        taken = self.widest.take(test)
        step, noise = self.widest.grid[1], np.zeros(models.coef.shape[-1])
        if self.widest.sample_bits is not None:
            noise = np.asarray(rows_of(taken).rounding_variance, dtype=np.float64)
        coef = models.coef.reshape(-1, models.coef.shape[-1])
        level = models.level.reshape(-1) - coef @ models.point
        off = linear_predictions(taken, coef, level).reshape(len(test), *models.level.shape) - targets[:, None]
        errors = np.average(off**2, axis=0, weights=weights)
        return errors - (models.coef * step) ** 2 @ noise

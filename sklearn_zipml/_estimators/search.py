"""What the searches share: parameters, folds, scores of all candidates, and the choice among them."""

from dataclasses import dataclass
from functools import partial
from numbers import Integral

import numpy as np
from scipy.stats import rankdata
from sklearn import get_config
from sklearn.base import BaseEstimator, is_classifier
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import ParameterGrid, check_cv
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import _check_method_params

from .._kernels.threads import N_JOBS, threads_of
from .._packed_matrix import PackedMatrix
from .._parameters import is_integer
from .._scheme import CONSTRAINTS, check_draws
from .._seeds import draw_seed
from .._state import StableState
from .base import ZipMLModel
from .doc_link import DocumentationLink
from .guard import CheckedParameters
from .regressor import ZipMLRegressor
from .search_folds import FoldSearch
from .search_stores import packed_at, stores_of
from .search_targets import Scores, group_of, joined_scores
from .validation import splitter_of

# Parameters that a search hands on to the estimators that it stands for.
SHARED = ("sampling", "levels", "n_draws", "outliers", "fit_intercept", "n_jobs")


@dataclass(frozen=True)
class Plan:
    """What a search tries.

    Attributes
    ----------
    name : str, of the penalty
    grid : list of float, its values
    widths : list of int or None
    seed : int or None, random_state of all fits
    penalties : callable(total weight) -> alphas of the grid
    candidate : callable(coef, intercept, penalty, width) -> fitted estimator, for scorers
    """

    name: str
    grid: list
    widths: list
    seed: object
    penalties: object
    candidate: object


class ZipMLSearch(StableState, CheckedParameters, DocumentationLink, BaseEstimator):
    """Penalty and width by cross-validation; see ZipMLRegressorCV and ZipMLLSSVCCV."""

    _parameter_constraints: dict = {
        "sample_bits": ["array-like", *CONSTRAINTS["sample_bits"], None],
        "sampling": CONSTRAINTS["sampling"],
        "levels": CONSTRAINTS["levels"],
        "n_draws": CONSTRAINTS["n_draws"],
        "outliers": CONSTRAINTS["outliers"],
        "fit_intercept": ["boolean"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "cv": ["cv_object"],
        "n_jobs": N_JOBS,
        "random_state": ["random_state"],
    }

    _predictions = ZipMLModel._predictions

    def _widths(self, X):
        """Widths to try, without those that packed rows bring down to another."""
        given = self.sample_bits
        widths = [given] if np.ndim(given) == 0 else list(given)
        if not widths:
            raise ValueError(f"sample_bits={given!r} is empty: give at least one width.")
        for bits in widths:
            if bits is not None and not (is_integer(bits) and 1 <= bits <= 8):
                raise ValueError(f"sample_bits={given!r}: widths are integers from 1 to 8 or None, got {bits!r}.")
            check_draws(bits, self.sampling, self.n_draws)
        if self.n_draws > 2 and len(widths) > 1:
            raise ValueError(
                f"Several sample_bits are compared by narrowing, which codes of n_draws={self.n_draws} cannot be; "
                "give one width, or leave n_draws=2."
            )
        if isinstance(X, PackedMatrix) and len(widths) == 1 and widths == [4]:
            return [min(4, X.sample_bits)]  # as the estimators' default is taken
        return [None if bits is None else int(bits) for bits in dict.fromkeys(widths)]

    def _grid_of(self, name, values):
        """Penalties to try, as floats."""
        grid = np.asarray(values)
        is_real = grid.dtype.kind in "biuf" and grid.ndim == 1 and grid.size
        lowest = is_real and (grid >= 0 if name == "alphas" else grid > 0)
        if not is_real or not (lowest & np.isfinite(grid)).all():
            least = "0 or more" if name == "alphas" else "above 0"
            raise ValueError(f"{name}={values!r} must be a sequence of one or more finite numbers, {least}.")
        return grid.astype(np.float64).tolist()

    def _seeded(self):
        """An int or None that stands for random_state in all fits of this search."""
        if self.random_state is None or isinstance(self.random_state, Integral):
            return self.random_state
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _search(self, data, plan, params):
        """Score all candidates.

        Parameters
        ----------
        data : SearchData
        plan : Plan
        params : dict of metadata for splitter and scorer

        Returns
        -------
        scores : Scores
        packed : PackedMatrix of all rows at the widest width, or None
        """
        routed = self._routed(data.sample_weight, params)
        folds, counted = self._folds(data, routed.splitter.split), data.counted()
        self.n_splits_ = len(folds)
        settings = {name: getattr(self, name) for name in SHARED}
        packer = ZipMLRegressor(**settings)
        if hasattr(self, "feature_names_in_"):
            packer.feature_names_in_ = self.feature_names_in_
        seed = draw_seed(check_random_state(plan.seed))
        packed = packed_at(data.X, counted, packer, plan.widths, seed)

        def row_model(alpha, bits):
            return ZipMLRegressor(alpha=alpha, sample_bits=bits, random_state=plan.seed, **settings)

        scores = []
        for known in data.groups:
            group = group_of(data, known, folds, self.fit_intercept)
            own = _of_rows(packed, counted, group.numbers)
            stores = stores_of(own, (data.X, group.numbers), group.rows, plan.widths, threads_of(self.n_jobs))
            penalties = partial(_penalties, plan, group.weight)
            search = FoldSearch(*stores, group.rows, group.folds, penalties, self.fit_intercept, row_model)
            if self.scoring is None:
                found, unit = search.results(partial(_errors, search)), search.unit_of_errors
            else:
                found, unit = search.results(self._scores_of(data, plan, group, routed.scorer.score)), 1.0
            # (widths, folds, penalties, outputs) -> candidates in the order of a parameter grid, the widths innermost
            found = np.moveaxis(np.array(found), 2, 0)
            scores.append(Scores(found.reshape(-1, *found.shape[2:]), unit))
        is_whole = counted is None and None not in plan.widths
        return joined_scores(scores, data.groups), next(iter(packed.values())) if is_whole else None

    def _scores_of(self, data, plan, group, metadata):
        """A function of a fold that scores its models by predictions on the rows held out."""
        scorer, rows = self._scorer(), group.rows

        def score(k, width, models, _):
            test = group.held_out[k]
            X, y = data.X[test], data.y_of(test, group.known)
            some = _check_method_params(data.X, params=metadata, indices=test)
            out = np.empty((len(plan.grid), 1))
            for a, penalty in enumerate(plan.grid):
                coef = models.coef[a] * rows.scale[:, None]
                intercept = rows.mean + rows.scale * (models.level[a] - models.coef[a] @ models.point)
                out[a] = scorer(plan.candidate(coef, intercept, penalty, plan.widths[width]), X, y, **some)
            return out

        return score

    def _fitted(self, model, data, attributes):
        """An estimator that has not been fitted, with the attributes of one."""
        model.n_jobs, model.n_features_in_ = self.n_jobs, data.X.shape[1]
        if isinstance(data.X, PackedMatrix) and hasattr(self, "feature_names_in_"):
            model.feature_names_in_ = self.feature_names_in_
        vars(model).update(attributes)
        return model

    def _folds(self, data, split):
        """(training rows, test rows) of every fold."""
        n, weights, folds = len(data.y), data.weights, []
        splitter = splitter_of(self.cv, data.y, is_classifier(self))
        for train, test in splitter.split(data.X, data.y, **split):
            fold = tuple(np.arange(n)[part] for part in (train, test))
            for name, part in zip(("training", "test"), fold, strict=True):
                if not len(part) or (weights is not None and not weights[part].any()):
                    raise ValueError(f"cv={self.cv!r}: fold {len(folds)} has no {name} rows of positive weight.")
            folds.append(fold)
        if not folds:
            raise ValueError(f"cv={self.cv!r} makes no folds.")
        return folds

    def _best_of(self, plan, scores, per_target=False):
        """Set best_score_ and cv_results_, and find the best of the candidates.

        Returns
        -------
        index of the penalty, or (outputs,) of them, and of the width
        """
        name, grid, widths = plan.name, plan.grid, plan.widths
        candidates = list(ParameterGrid({name: grid, "sample_bits": widths}))
        by_fold = scores.array.mean(axis=2)
        mean = by_fold.mean(axis=1)
        results = {f"split{k}_test_score": scores.told(by_fold[:, k]) for k in range(by_fold.shape[1])}
        results |= {"mean_test_score": scores.told(mean), "std_test_score": scores.told(by_fold.std(axis=1))}
        known = np.where(np.isnan(mean), -np.inf, mean)
        if np.all(np.isnan(mean)):
            raise ValueError(f"scoring={self.scoring!r}: no candidate has a score.")
        results["rank_test_score"] = rankdata(-known, method="min").astype(np.int32)
        for parameter in (name, "sample_bits"):
            values = [candidate[parameter] for candidate in candidates]
            results[f"param_{parameter}"] = np.ma.MaskedArray(np.array(values), mask=np.zeros(len(values), dtype=bool))
        results["params"] = candidates
        self.cv_results_ = results
        if not per_target:
            best = int(np.argmax(known))
            self.best_score_ = float(results["mean_test_score"][best])
            return divmod(best, len(widths))
        of_targets = scores.array.mean(axis=1)
        results["mean_test_score_by_target"] = scores.told(of_targets)
        of_targets = of_targets.reshape(len(grid), len(widths), -1)
        width = int(np.argmax(of_targets.max(axis=0).mean(axis=1)))
        self.best_score_ = scores.told(of_targets[:, width].max(axis=0))
        return of_targets[:, width].argmax(axis=0), width

    def _refit(self, model, packed, data):
        """The estimator of the chosen settings fitted to all rows; packed as the search has packed them, if it has."""
        is_packed = packed is not None and packed.sample_bits == model.sample_bits
        return model.fit(packed if is_packed else data.X, data.y, data.sample_weight)

    # Metadata

    def _scorer(self):
        return check_scoring(self, scoring=self.scoring, allow_none=True)

    def _routed(self, sample_weight, params):
        """What of the metadata splitter and scorer get."""
        if get_config()["enable_metadata_routing"]:
            given = params if sample_weight is None else params | {"sample_weight": sample_weight}
            return process_routing(self, "fit", **given)
        unknown = sorted(params.keys() - {"groups"})
        if unknown:
            raise ValueError(
                f"fit got {unknown}, which is for the scorer or the splitter: set "
                "sklearn.set_config(enable_metadata_routing=True) to hand it on."
            )
        accepts = getattr(self._scorer(), "_accept_sample_weight", None)
        weighted = sample_weight is not None and accepts is not None and accepts()
        score = {"sample_weight": sample_weight} if weighted else {}
        return Bunch(splitter=Bunch(split={"groups": params.get("groups")}), scorer=Bunch(score=score))

    def get_metadata_routing(self) -> MetadataRouter:
        """Where the metadata of ``fit`` goes: ``sample_weight`` to the fits, more to the splitter and the scorer.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        router.add(
            splitter=check_cv(self.cv, classifier=is_classifier(self)),
            method_mapping=MethodMapping().add(caller="fit", callee="split"),
        )
        scorer = self._scorer() if self.scoring is not None else None
        return router.add(scorer=scorer, method_mapping=MethodMapping().add(caller="fit", callee="score"))


def _penalties(plan, weight, total):
    """Penalties for a sum of weights, in parts of a weight."""
    return plan.penalties(total * weight)


def _errors(search, *fold):
    """Scores of the models of a fold out of moments."""
    return -search.errors(*fold)


def _of_rows(packed, counted, numbers):
    """Packed rows of every width with some rows of X; packed are those that `counted` numbers, None for all."""
    if numbers is None or (counted is not None and len(numbers) == len(counted)):
        return packed
    some = numbers if counted is None else np.searchsorted(counted, numbers)
    return {bits: matrix[some] for bits, matrix in packed.items()}

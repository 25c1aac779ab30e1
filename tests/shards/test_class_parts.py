"""Logistic regression of parts, without any engine: the local fit of the same packed rows, and known right answers."""

import pickle
from functools import reduce
from itertools import accumulate

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn_zipml._kernels.tiles import TILE_ROWS
from test_parts import SEED, packed_apart

from sklearn_zipml import ZipMLLogisticRegression
from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._shards import class_rows, class_sums
from sklearn_zipml._shards.frame import Description
from sklearn_zipml._shards.logistic import Setting, fit_parts
from sklearn_zipml._shards.logistic_rounds import fit_parts_in_rounds
from sklearn_zipml._shards.shard import Shard
from sklearn_zipml._shards.targets import TargetCode
from sklearn_zipml._solvers import curvature_sums, inverse_curvature, softmax
from sklearn_zipml._solvers.normal_equations import SumsGrid
from sklearn_zipml._solvers.problem import Problem


class Held(list):
    """A thing for each site."""


class Sites:
    """Sites in this process, what they hold going through pickle now and then."""

    def __init__(self, shards):
        self.shards = Held(shards)

    def spread(self, things):
        """See `fit_parts`."""
        return Held(things)

    def share(self, thing):
        """See `fit_parts`."""
        return thing

    def keep(self, function, *given):
        """See `fit_parts`."""
        spread = [one if isinstance(one, Held) else [one] * len(self.shards) for one in given]
        return Held(function(*some) for some in zip(*spread, strict=True))

    def ask(self, function, *given):
        """See `fit_parts`."""
        return pickle.loads(pickle.dumps(list(self.keep(function, *given))))

    def total(self, function, merge, *given):
        """See `fit_parts`."""
        return merge(self.ask(function, *given))


def numbers(labels, n_classes):
    """Class numbers as targets."""
    return labels[:, None].astype(float)


def classes(n=3000, d=5, n_classes=2, order=None):
    """Correlated columns of unlike units away from zero, classes that they tell of, and weights."""
    rng = np.random.default_rng(n_classes)
    Z = rng.standard_normal((n, d)) @ (np.eye(d) + 0.3)
    y = (Z @ rng.standard_normal((d, n_classes)) + rng.gumbel(size=(n, n_classes))).argmax(axis=1)
    weights = rng.exponential(size=n) + 0.1
    if order == "sorted":
        found = np.argsort(y, kind="stable")
        Z, y, weights = Z[found], y[found], weights[found]
    return Z * np.geomspace(0.1, 10, d) + 5, y, weights


def fitted(X, y, weights, scheme, parts, *, C=1.0, fit_intercept=True, tol=1e-8, max_iter=300, bits=None, **more):
    """The FittedClasses of parts at two sites or fewer; in rounds, if there are bits for them."""
    shards, spans, _ = packed_apart(X, y, scheme, parts)
    pairs = sorted(zip(shards, spans, strict=True), key=lambda pair: pair[1].start)
    shards = [Shard(s.rows, None if weights is None else weights[span]) for s, span in pairs]
    firsts = [0, *accumulate(len(shard) for shard in shards)][:-1]
    n_sites = min(2, parts)
    by_site = [shards[k::n_sites] for k in range(n_sites)]
    rows = shards[0].rows
    statistics = (getattr(rows, name).astype(float) for name in ("mean", "deviation", "rounding_variance"))
    common = Description(SumsGrid.of(rows), rows.dtype, rows.scheme, None, *statistics)
    code = TargetCode(np.unique(y), numbers)
    limits = max_iter, tol, bits and (bits, bits)
    setting = Setting(code, lambda total: 1 / (C * total), fit_intercept, weights is not None, *limits, **more)
    firsts = Held(tuple(firsts[k::n_sites]) for k in range(n_sites))
    return (fit_parts_in_rounds if bits else fit_parts)(Sites(by_site), firsts, common, setting)


CASES = [
    (1, 2, False, {}),
    (2, 2, True, {}),
    (5, 2, False, {"order": "sorted"}),
    (5, 3, True, {"order": "sorted"}),
    (9, 3, False, {}),
]


@pytest.mark.parametrize(("bits", "fit_intercept"), [(2, True), (4, False), (8, True)])
@pytest.mark.parametrize(("parts", "n_classes", "weighted", "kind"), CASES)
def test_any_parts_are_the_local_fit(parts, n_classes, weighted, kind, bits, fit_intercept):
    """Calibrated as that is, whatever the classes in a part."""
    X, y, weights = classes(n_classes=n_classes, **kind)
    weights = weights if weighted else None
    scheme = Scheme.of(bits, "compensated", "optimal", outliers="auto")
    found = fitted(X, y, weights, scheme, parts, C=0.01, fit_intercept=fit_intercept)
    packed = matrix_of(pack(X, scheme, SEED))
    settings = {"C": 0.01, "fit_intercept": fit_intercept, "tol": 1e-8, "max_iter": 300}
    local = ZipMLLogisticRegression(bits, **settings).fit(packed, y, weights)
    scale = np.abs(local.coef_).max()
    assert_allclose(found.coef, local.coef_, rtol=1e-6, atol=1e-7 * scale)
    assert_allclose(found.intercept, local.intercept_, rtol=1e-6, atol=1e-6)
    assert found.result.converged
    assert abs(found.result.n_iter - local.n_iter_) <= 1
    assert found.result.losses[-1][0] == pytest.approx(local.loss_curve_[-1], rel=1e-9)
    assert found.bytes_sent == 2 * found.float32_bytes > 0


@pytest.mark.parametrize(
    ("bits", "sampling", "settings"),
    [(2, "double", {"C": 0.01}), (3, "naive", {"C": 0.01}), (4, "compensated", {"C": np.inf})],
)
def test_other_settings(bits, sampling, settings):
    """Two draws of a value, rounding that is not made good for, and no penalty."""
    X, y, _ = classes(n_classes=3)
    scheme = Scheme.of(bits, sampling, "optimal", 2, "none")
    found = fitted(X, y, None, scheme, 4, **settings)
    packed = matrix_of(pack(X, scheme, SEED))
    local = ZipMLLogisticRegression(bits, tol=1e-8, max_iter=300, **settings).fit(packed, y)
    assert_allclose(found.coef, local.coef_, rtol=1e-6, atol=1e-7 * np.abs(local.coef_).max())
    assert_allclose(found.intercept, local.intercept_, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_samples_of_many_rows(n_classes, monkeypatch):
    """Where some rows stand for all, they are the same ones."""
    monkeypatch.setattr(inverse_curvature, "WHOLE_PRODUCTS", 1e4)
    monkeypatch.setattr(inverse_curvature, "LEAST_ROWS", 1024)
    monkeypatch.setattr(softmax, "PAIR_ROWS", 1500)
    X, y, _ = classes(20_000, 5, n_classes)
    scheme = Scheme.of(3, "compensated", "optimal", outliers="auto")
    found = fitted(X, y, None, scheme, 6, C=0.01)
    local = ZipMLLogisticRegression(3, C=0.01, tol=1e-8, max_iter=300).fit(matrix_of(pack(X, scheme, SEED)), y)
    assert_allclose(found.coef, local.coef_, rtol=1e-6, atol=1e-6 * np.abs(local.coef_).max())
    assert found.result.n_iter == local.n_iter_


@pytest.mark.parametrize("n_classes", [2, 3])
def test_optimum_of_decoded_rows(n_classes):
    """Where nothing is compensated: that of LogisticRegression in float64 on what the codes stand for."""
    X, y, weights = classes(n_classes=n_classes, order="sorted")
    scheme = Scheme.of(4, "nearest", "optimal", outliers="none")
    found = fitted(X, y, weights, scheme, 5, C=0.1, tol=1e-10)
    decoded = np.asarray(matrix_of(pack(X, scheme, SEED)), dtype=np.float64)
    plain = LogisticRegression(C=0.1, tol=1e-12, max_iter=1000, solver="newton-cholesky").fit(decoded, y, weights)
    size = np.abs(plain.coef_).max()
    assert_allclose(found.coef, plain.coef_, atol=1e-4 * size)

    def objective(coef, intercept):
        logs = softmax.log_probabilities(decoded @ coef.T + intercept)
        return (coef**2).sum() / 2 - 0.1 * weights @ logs[np.arange(len(y)), y]

    at_optimum = objective(plain.coef_, plain.intercept_)
    assert objective(found.coef, found.intercept) <= at_optimum * (1 + 1e-7)


def test_many_columns():
    """Of which no second moments are sent."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 2100))
    y = (X[:, :5].sum(axis=1) > 0).astype(int)
    scheme = Scheme.of(4, "compensated", "optimal", outliers="auto")
    found = fitted(X, y, None, scheme, 3, C=0.01, tol=1e-6)
    local = ZipMLLogisticRegression(4, C=0.01, tol=1e-6, max_iter=300).fit(matrix_of(pack(X, scheme, SEED)), y)
    assert_allclose(found.coef, local.coef_, atol=1e-5 * np.abs(local.coef_).max())
    assert found.bytes_sent < 8 * 2100**2


@pytest.mark.parametrize("bits", [2, 8])
def test_sums_of_parts(bits):
    """Those of all rows at once, also over the first ones of all, and after a pickle."""
    X, y, weights = classes(2000, n_classes=3)
    X[::500] *= 50  # outliers
    scheme = Scheme.of(bits, "compensated", "optimal", outliers="auto")
    shards, spans, _ = packed_apart(X, y, scheme, 4)
    code = TargetCode(np.unique(y), numbers)
    packed = pack(X, scheme, SEED)
    scaled = weights * (len(y) / weights.sum())
    problem = Problem(packed, scaled, True)
    frame = class_rows.ClassFrame(2000, 3, problem.centre, problem.unit, len(y) / weights.sum(), 2)
    weighted = [Shard(shard.rows, weights[span]) for shard, span in zip(shards, spans, strict=True)]
    halves = [slice(0, 2), slice(2, 4)]
    parts = [class_rows.part(weighted[half], tuple(s.start for s in spans[half]), code, frame) for half in halves]
    parts[1] = pickle.loads(pickle.dumps(parts[1]))
    model = 0.3 * np.random.default_rng(0).standard_normal((3, 6))
    stands = [class_sums.stand(part, model, 0.9) for part in parts]
    in_slots = packed.order.to_slots(y[None].astype(float), problem.n_slots, np.float64)[0, :2000].astype(np.intp)
    labels = softmax.Labels(in_slots, 3, problem.weights[:2000])
    rows = problem.scaled_block(0, problem.n_tiles) / np.sqrt(labels.weights)[:, None]
    margins = (np.column_stack([rows, np.ones(2000)]) @ model.T).T
    slopes = np.empty_like(margins)
    line = softmax.evaluate(labels, 0.9, margins, slopes)
    told = sum((stand.told for stand in stands[1:]), stands[0].told)
    assert_allclose(told.loss / 2000, [line.loss, line.along_margins, 0.0], rtol=1e-7)
    assert_allclose(told.slopes, slopes.sum(axis=1), rtol=1e-6, atol=1e-6)
    assert_allclose(told.gradient, slopes @ rows, rtol=1e-6, atol=1e-5)
    shown = [class_sums.shown(part, 640, stand) for part, stand in zip(parts, stands, strict=True)]
    places, found, _, some = (np.concatenate(arrays, axis=-1) for arrays in zip(*shown, strict=True))
    assert_array_equal(np.sort(places), np.arange(640))
    assert_array_equal(found, labels.numbers[places])
    assert_allclose(some, margins[:, places], rtol=1e-6, atol=1e-6)
    for count in (640, 2000):
        sums = class_sums.added(
            [class_sums.pair_sums(part, count, stand) for part, stand in zip(parts, stands, strict=True)]
        )[0]
        assert_allclose(
            sums, curvature_sums.pair_sums(problem, labels, slopes, -(-count // TILE_ROWS)), rtol=1e-5, atol=1e-4
        )
        moments, total = class_sums.added([class_sums.moment_sums(part, count) for part in parts])
        assert total == pytest.approx(labels.weights[:count].sum())
        assert_allclose(moments / total, problem.dense_curvature(-(-count // TILE_ROWS)), rtol=1e-5, atol=1e-6)


def test_survey():
    """Sums and ranges, in any order."""
    X, y, weights = classes(1000)
    shards, spans, _ = packed_apart(X, y, Scheme.of(4, "compensated", "optimal"), 3)
    code = TargetCode(np.unique(y), numbers)
    weighted = [Shard(shard.rows, weights[span]) for shard, span in zip(shards, spans, strict=True)]
    for order in (weighted, weighted[::-1]):
        seen = reduce(lambda one, other: one.joined(other), [class_rows.survey([s], code, True) for s in order])
        assert seen.n_rows == 1000
        assert (seen.lightest, seen.heaviest) == (weights.min(), weights.max())
        assert_allclose(seen.counts, np.bincount(y, weights))
        assert seen.has_weights
    plain = class_rows.survey(shards, code, False)
    assert plain.columns is None
    assert not plain.has_weights
    assert plain.sample_nbytes == sum(shard.rows.codes.nbytes for shard in shards)

"""What holds of any data: properties of packing, containers and estimators, on generated matrices."""

import hashlib
import os
import pickle
import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_matrices import SAMPLINGS
from packing import assert_same_parts

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._kernels.dispatch import available_kernels, kernels

property_of = settings(max_examples=25, derandomize=True, deadline=None)
GRID = 1 / 256  # of a grid step, to which values are rounded before all else


@st.composite
def matrices(draw, least_rows=1):
    """Finite matrices of columns of many kinds: constant, of few values, heavy-tailed, large, small."""
    rows, columns = draw(st.integers(least_rows, 200)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = draw(st.lists(st.sampled_from(["normal", "constant", "few", "heavy"]), min_size=columns, max_size=columns))
    makers = {
        "normal": lambda: rng.normal(size=rows),
        "constant": lambda: np.full(rows, rng.normal()),
        "few": lambda: rng.integers(0, 3, rows).astype(float),
        "heavy": lambda: rng.standard_cauchy(rows),
    }
    X = np.stack([makers[kind]() for kind in kinds], axis=1)
    scale = 2.0 ** np.array(draw(st.lists(st.integers(-60, 60), min_size=columns, max_size=columns)))
    return (X * scale).astype(draw(st.sampled_from([np.float32, np.float64])))


@st.composite
def quantizers(draw):
    """Of every width, sampling, placement of levels, and seed."""
    sampling = draw(st.sampled_from(SAMPLINGS))
    bits = draw(st.integers(2 if sampling == "double" else 1, 8))
    levels, seed = draw(st.sampled_from(["optimal", "uniform"])), draw(st.integers(0, 1000))
    return DoubleSamplingQuantizer(bits, sampling=sampling, levels=levels, random_state=seed, n_jobs=1)


def between(values, decoded, levels, step):
    """Whether decoded values lie between the two levels around the values, or on the one level."""
    above = np.clip(np.searchsorted(levels, values), 0, len(levels) - 1)
    slack = GRID * step + 1e-6 * np.abs(levels).max()
    low = np.where(levels[above] <= values, levels[above], levels[np.maximum(above - 1, 0)])
    # a value within rounding of a level may be taken for one on its other side
    lower, upper = levels[np.maximum(above - 2, 0)], levels[np.minimum(above + 1, len(levels) - 1)]
    low = np.where(values - low <= slack, lower, low)
    high = np.where(levels[above] - values <= slack, upper, levels[above])
    return (decoded >= low - slack) & (decoded <= high + slack)


@property_of
@given(X=matrices(), quantizer=quantizers())
def test_decoded_values_lie_between_the_levels_around_them(X, quantizer):
    packed = quantizer.fit_transform(X)
    decoded = np.asarray(packed, dtype=np.float64)
    for j in range(X.shape[1]):
        assert between(X[:, j].astype(float), decoded[:, j], quantizer.levels_[j], quantizer.step_[j]).all()
    assert packed.shape == X.shape and packed.dtype == X.dtype


@property_of
@given(X=matrices(), quantizer=quantizers(), with_target=st.booleans())
def test_round_trips(tmp_path_factory, X, quantizer, with_target):
    """Pickles, files, mapped or read, and states hold every number."""
    packed = quantizer.fit_transform(X).with_target(X[:, 0].astype(float) if with_target else None)
    path = tmp_path_factory.mktemp("trips") / "packed.zq"
    packed.save(path)
    state = PackedMatrix.__new__(PackedMatrix)
    state.__setstate__(packed.__getstate__())
    for other in (
        pickle.loads(pickle.dumps(packed)), state, PackedMatrix.load(path), PackedMatrix.load(path, mmap=False)
    ):  # fmt: skip
        assert_same_parts(packed, other)
        assert other == packed
        np.testing.assert_array_equal(other.target, packed.target)


@property_of
@given(X=matrices(), quantizer=quantizers(), data=st.data())
def test_rows_of_rows_are_those_of_numpy(X, quantizer, data):
    packed = quantizer.fit_transform(X)
    decoded, n = np.asarray(packed), len(X)
    for _ in range(3):
        key = data.draw(
            st.one_of(
                st.builds(slice, st.integers(-n, n), st.integers(-n, n), st.sampled_from([None, 1, 2, -1])),
                st.lists(st.integers(-n, n - 1), min_size=1, max_size=n).map(lambda rows: np.array(rows, dtype=int)),
                st.lists(st.booleans(), min_size=n, max_size=n).map(lambda mask: np.array(mask, dtype=bool)),
            )
        )
        packed, decoded = packed[key], decoded[key]
        n = len(decoded)
        np.testing.assert_array_equal(np.asarray(packed), decoded)
        if not n:
            break


@property_of
@given(X=matrices(), bits=st.tuples(st.integers(1, 8), st.integers(1, 8)), seed=st.integers(0, 1000))
def test_requantizing_composes(X, bits, seed):
    """Step by step, values stay between levels, which are levels of the width before; and nothing is done for none."""
    most, least = max(bits), min(bits)
    packed = DoubleSamplingQuantizer(8, random_state=seed).fit_transform(X)
    once = packed.requantize(most, sampling="compensated", random_state=seed)
    twice = once.requantize(least, sampling="compensated", random_state=seed + 1)
    before, after = (np.asarray(one, dtype=np.float64) for one in (once, twice))
    for j in range(X.shape[1]):
        levels = np.unique(after[:, j])
        assert np.isin(levels, np.unique(before[:, j])).all() or len(levels) <= 2**least
        assert before[:, j].min() <= levels[0] and levels[-1] <= before[:, j].max()
        assert len(levels) <= 2**least
    assert twice.requantize(least, sampling="compensated", random_state=seed + 2) is twice
    assert (twice.rounding_variance >= once.rounding_variance * (1 - 1e-6)).all()


@st.composite
def problems(draw):
    """Well-conditioned rows and targets, so that minima agree to rounding."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d = draw(st.integers(60, 200)), draw(st.integers(1, 5))
    X = rng.normal(size=(n, d))
    return X, X @ rng.normal(size=d) + rng.normal(size=n) / 10, rng


@property_of
@given(problem=problems(), bits=st.sampled_from([None, 2, 4, 8]))
def test_order_of_rows_does_not_matter(problem, bits):
    """Draws are keyed by what is in a row, so the very codes are the same in any order."""
    X, y, rng = problem
    order = rng.permutation(len(X))
    one = ZipMLRegressor(bits, random_state=0).fit(X, y)
    other = ZipMLRegressor(bits, random_state=0).fit(X[order], y[order])
    np.testing.assert_allclose(other.coef_, one.coef_, rtol=1e-5, atol=1e-6)
    if bits is not None:
        packed = DoubleSamplingQuantizer(bits, random_state=0).fit_transform(X)
        shuffled = DoubleSamplingQuantizer(bits, random_state=0).fit_transform(X[order])
        np.testing.assert_array_equal(np.asarray(shuffled), np.asarray(packed)[order])


@property_of
@given(problem=problems())
def test_order_of_columns_does_not_matter(problem):
    X, y, rng = problem
    order = rng.permutation(X.shape[1])
    one, other = ZipMLRegressor(None).fit(X, y), ZipMLRegressor(None).fit(X[:, order], y)
    np.testing.assert_allclose(other.coef_, one.coef_[order], rtol=1e-5, atol=1e-6)


@property_of
@given(problem=problems(), bits=st.sampled_from([1, 2, 4, 8]), exponents=st.tuples(*[st.integers(-80, 80)] * 2))
def test_powers_of_two_change_units_alone(problem, bits, exponents):
    """Of X without a penalty, and of y: the codes are the same, and coefficients are scaled exactly."""
    X, y, _ = problem
    of_x, of_y = (2.0**exponent for exponent in exponents)
    one = ZipMLRegressor(bits, alpha=0, random_state=0).fit(X, y)
    other = ZipMLRegressor(bits, alpha=0, random_state=0).fit(X * of_x, y * of_y)
    np.testing.assert_allclose(other.coef_ * of_x / of_y, one.coef_, rtol=1e-7)
    np.testing.assert_allclose(other.intercept_ / of_y, one.intercept_, rtol=1e-6, atol=1e-9)


@property_of
@given(problem=problems(), bits=st.sampled_from([1, 2, 4, 8]), data=st.data())
def test_same_seed_same_bits(problem, bits, data):
    """Whatever the threads, chunks and instruction set, and whether rows are arrays, packed, pickled."""
    X, y, _ = problem
    packed = DoubleSamplingQuantizer(bits, random_state=0, n_jobs=1).fit_transform(X)
    cuts = sorted(data.draw(st.lists(st.integers(1, len(X) - 1), max_size=4, unique=True)))
    chunks = PackedMatrix.from_chunks(lambda: np.split(X, cuts), sample_bits=bits, random_state=0, n_jobs=2)
    assert_same_parts(packed, chunks)
    solver = data.draw(st.sampled_from(["gram", "saga", "sgd"]))
    settings = {"sample_bits": bits, "solver": solver, "random_state": 0, "max_iter": 5, "tol": 1.0}
    model = ZipMLRegressor(**settings, n_jobs=1).fit(X, y)
    with kernels(data.draw(st.sampled_from(available_kernels()))):
        assert_same_parts(packed, DoubleSamplingQuantizer(bits, random_state=0, n_jobs=2).fit_transform(X))
        other = ZipMLRegressor(**settings, n_jobs=2).fit(pickle.loads(pickle.dumps(X)), y)
    np.testing.assert_array_equal(other.coef_, model.coef_)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


@property_of
@given(problem=problems(), names=st.sampled_from([[0, 1], ["no", "yes"], [-3.0, 2.0]]))
def test_names_of_classes_do_not_matter(problem, names):
    X, y, _ = problem
    labels = (y > np.median(y)).astype(int)
    one = ZipMLLSSVC(random_state=0).fit(X, labels)
    other = ZipMLLSSVC(random_state=0).fit(X, np.array(names)[labels])
    np.testing.assert_array_equal(other.coef_, one.coef_)
    np.testing.assert_array_equal(other.predict(X), np.array(names)[one.predict(X)])


FIT = """
import hashlib
import numpy as np
from sklearn_zipml import ZipMLRegressor
X = np.random.default_rng(0).normal(size=(300, 7))
model = ZipMLRegressor(2, solver="saga", random_state=0, max_iter=4, tol=1.0).fit(X, X.sum(axis=1))
print(hashlib.sha256(model.coef_.tobytes()).hexdigest())
"""


def test_same_bits_in_another_process():
    """And with the plainest kernels."""
    rows = np.random.default_rng(0).normal(size=(300, 7))
    model = ZipMLRegressor(2, solver="saga", random_state=0, max_iter=4, tol=1.0).fit(rows, rows.sum(axis=1))
    environment = os.environ | {"SKLEARN_ZIPML_KERNELS": "portable"}
    found = subprocess.run([sys.executable, "-P", "-c", FIT], env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == hashlib.sha256(model.coef_.tobytes()).hexdigest()

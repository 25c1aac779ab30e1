"""skops files: everything comes back, and no more has to be trusted than the guide names."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLogisticRegression, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._storage.packed_rows import rows_of

skops = pytest.importorskip("skops.io")
REGRESSOR, CLASSIFIER = "sklearn_zipml.ZipMLRegressor", "sklearn_zipml.ZipMLLSSVC"
QUANTIZER = [
    "sklearn_zipml.DoubleSamplingQuantizer",
    "sklearn_zipml._scheme.Scheme",
    "sklearn_zipml._storage.grid.Grid",
]
MATRIX = ["sklearn_zipml.PackedMatrix"]
MOMENTS = [
    "sklearn_zipml._solvers.normal_equations.NormalEquations",
    "sklearn_zipml._solvers.normal_equations.SumsGrid",
    "sklearn_zipml._solvers.float_moments.FloatMoments",
    "sklearn_zipml._solvers.packed_sums.PackedSums",
    "sklearn_zipml._solvers.packed_sums.WeightedSums",
    "sklearn_zipml._solvers.exact_sums.ExactSums",
]
SKETCH = [
    "numpy.dtype",
    "sklearn_zipml._quantization.row_sample.RowSample",
    "sklearn_zipml._quantization.column_sketch.ColumnSketch",
]


def data(n=100):
    """Rows and a linear target."""
    X = np.random.default_rng(0).normal(size=(n, 3))
    return X, X @ [1.0, 2.0, 3.0]


def round_trip(thing, trusted):
    """Save and load with the named types trusted, and with none missing or too many."""
    file = skops.dumps(thing)
    assert sorted(skops.get_untrusted_types(data=file)) == sorted(trusted)
    return skops.loads(file, trusted=trusted)


@pytest.mark.parametrize(
    "model, trusted",
    [
        (ZipMLRegressor(early_stopping=True, random_state=0), [REGRESSOR]),
        (ZipMLRegressor(None, random_state=np.random.RandomState(0)), [REGRESSOR]),
        (ZipMLLSSVC(class_weight="balanced", random_state=0), [CLASSIFIER]),
        (ZipMLLogisticRegression(random_state=0), ["sklearn_zipml.ZipMLLogisticRegression"]),
        (
            make_pipeline(StandardScaler(), DoubleSamplingQuantizer(random_state=0), ZipMLLSSVC(random_state=0)),
            [*QUANTIZER, CLASSIFIER],
        ),
    ],
)
def test_models(model, trusted):
    """The same predictions, parameters and attributes."""
    X, y = data()
    y = np.where(y > 0, "up", "down") if "Regressor" not in str(model) else y
    loaded = round_trip(model.fit(X, y), trusted)
    assert_array_equal(loaded.predict(X), model.predict(X))
    assert repr(loaded).split("random_state")[0] == repr(model).split("random_state")[0]
    loaded.fit(X, y)


def test_quantizer():
    """The same codes."""
    X, _ = data()
    quantizer = DoubleSamplingQuantizer(2, random_state=0).fit(X)
    assert round_trip(quantizer, QUANTIZER).quantize(X) == quantizer.quantize(X)


def test_between_chunks():
    """What partial_fit keeps is saved, too."""
    X, y = data()
    model = ZipMLRegressor(random_state=0).partial_fit(X[:50], y[:50])
    loaded = round_trip(model, [REGRESSOR, *MOMENTS])
    assert_array_equal(loaded.partial_fit(X[50:], y[50:]).coef_, model.partial_fit(X[50:], y[50:]).coef_)
    quantizer = DoubleSamplingQuantizer(random_state=0).partial_fit(X[:50])
    loaded = round_trip(quantizer, [*QUANTIZER, *SKETCH])
    assert loaded.partial_fit(X[50:]).quantize(X) == quantizer.partial_fit(X[50:]).quantize(X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mapped", [False, True])
def test_packed_matrix(mapped, dtype, tmp_path):
    """With target and names, mapped or not, and immutable again."""
    X, y = data()
    packed = PackedMatrix.from_chunks(X.astype(dtype), y, random_state=0)
    if mapped:
        packed.save(tmp_path / "data.zq")
        packed = PackedMatrix.load(tmp_path / "data.zq")
    loaded = round_trip(packed, MATRIX)
    assert loaded == packed and loaded.dtype == dtype
    assert_array_equal(loaded.target, y)
    assert not rows_of(loaded).codes.flags.writeable
    models = [ZipMLRegressor(random_state=0).fit(rows) for rows in (packed, loaded)]
    assert_array_equal(models[1].coef_, models[0].coef_)


def test_a_strange_type_is_not_trusted():
    """Loading says what is missing."""
    with pytest.raises(Exception, match=r"sklearn_zipml\.ZipMLRegressor"):
        skops.loads(skops.dumps(ZipMLRegressor()), trusted=[])


def test_the_guide_names_these_types():
    """Word for word."""
    guide = Path(__file__).parents[2] / "doc" / "user_guide" / "deploying.rst"
    text = guide.read_text(encoding="utf-8")
    for name in [REGRESSOR, CLASSIFIER, *QUANTIZER, *MATRIX, *MOMENTS, *SKETCH]:
        assert f"``{name}``" in text

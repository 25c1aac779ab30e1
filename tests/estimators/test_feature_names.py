"""Names of columns: packed rows carry them from every source, and models check them as scikit-learn checks frames'."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import __version__, config_context
from sklearn.base import ClassifierMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLogisticRegression, ZipMLLSSVC, ZipMLRegressor

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
skops = pytest.importorskip("skops.io")

NAMES = tuple("abcd")
OLD = parse_version(__version__) < parse_version("1.9")  # which reads no names of polars 2, nor of Arrow tables
MODELS = [ZipMLRegressor(random_state=0), ZipMLLSSVC(random_state=0), ZipMLLogisticRegression(tol=1e-2, random_state=0)]


def data(model=None):
    """A frame, and a target in which every column has a weight of its own."""
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(400, 4)), columns=list(NAMES))
    y = X.to_numpy() @ [1.0, 2.0, 3.0, 4.0]
    return X, (y > 0).astype(int) if isinstance(model, ClassifierMixin) else y


def packed(names=NAMES):
    """Its rows, packed, under other names."""
    X, _ = data()
    return DoubleSamplingQuantizer(8, random_state=0).fit_transform(X.set_axis(list(names), axis=1))


# Sources


def sources(X, folder):
    """What has the names of the frame."""
    X.to_csv(folder / "rows.csv", index=False)
    table = pa.Table.from_pandas(X, preserve_index=False)
    parquet.write_table(table, folder / "rows.parquet")
    return {
        "pandas": X,
        "polars": pl.from_pandas(X),
        "table": table,
        "csv": folder / "rows.csv",
        "parquet": folder / "rows.parquet",
        "chunks": [X[:100], X[100:]],
        "generator": (chunk for chunk in (X[:100], X[100:])),
        "mixed kinds": [X[:100], table.slice(100)],
    }


def test_from_chunks(tmp_path):
    """Every kind of source, and what is made of the matrix."""
    X, y = data()
    for name, source in sources(X, tmp_path).items():
        made = PackedMatrix.from_chunks(source, y, random_state=0)
        assert made.feature_names == NAMES, name
    for other in (
        made[:10],
        made[[3, 1]],
        made[X["a"].to_numpy() > 0],
        made.take([1, 2]),
        made[::2][:5],
        made.requantize(2, random_state=0),
        made[:100].requantize(2, random_state=0),
        made.with_target(None),
        copy.deepcopy(made),
        pickle.loads(pickle.dumps(made[5:])),
        skops.loads(skops.dumps(made), trusted=["sklearn_zipml.PackedMatrix"]),
    ):
        assert other.feature_names == NAMES


def test_columns_that_are_picked():
    """In the order asked for."""
    X, _ = data()
    assert PackedMatrix.from_chunks(X, target="b", random_state=0).feature_names == ("a", "c", "d")
    assert PackedMatrix.from_chunks(X, columns=["d", "a"], random_state=0).feature_names == ("d", "a")


def test_files(tmp_path):
    """Saved and loaded, with any text for a name."""
    names = ("ä ß", "", "a\nb", "名")
    packed(names).save(tmp_path / "rows.zq")
    for mmap in (True, False):
        assert PackedMatrix.load(tmp_path / "rows.zq", mmap=mmap).feature_names == names


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_quantizer(frame):
    """fit_transform, fit and quantize, partial_fit, and requantizing."""
    if OLD and frame is not pd.DataFrame:
        pytest.skip("scikit-learn before 1.9 does not read these names")
    X = frame({name: column.to_numpy() for name, column in data()[0].items()})
    quantizer = DoubleSamplingQuantizer(random_state=0)
    made = quantizer.fit_transform(X)
    assert made.feature_names == quantizer.quantize(X).feature_names == NAMES
    assert clone(quantizer).partial_fit(X).quantize(X).feature_names == NAMES
    assert PackedMatrix.from_chunks(X, quantizer=quantizer).feature_names == NAMES
    narrow = DoubleSamplingQuantizer(2, random_state=0)
    assert narrow.fit_transform(made).feature_names == NAMES
    assert tuple(narrow.feature_names_in_) == NAMES
    assert ZipMLRegressor(random_state=0).fit(X, data()[1]).predict(X).shape == (400,)


def test_names_that_are_numbers():
    """Are none, as for scikit-learn, and a mixture is an error."""
    X, y = data()
    numbered = X.set_axis(range(4), axis=1)
    for made in (PackedMatrix.from_chunks(numbered), DoubleSamplingQuantizer().fit_transform(numbered)):
        assert made.feature_names is None
        ZipMLRegressor(random_state=0).fit(made, y).predict(numbered)
    mixed = X.set_axis(["a", 1, "c", 2], axis=1)
    with pytest.raises(TypeError) as expected:
        Ridge().fit(mixed, y)
    for work in (
        PackedMatrix.from_chunks,
        DoubleSamplingQuantizer().fit,
        lambda rows: PackedMatrix.from_chunks([rows]),
    ):
        with pytest.raises(TypeError) as error:
            work(mixed)
        assert str(error.value) == str(expected.value)


# What models make of them


@pytest.mark.parametrize("model", MODELS)
def test_models_take_names_from_packed_rows(model):
    """fit and partial_fit; rows without names take them away again."""
    X, y = data(model)
    classes = {"classes": [0, 1]} if isinstance(model, ClassifierMixin) else {}
    chunks = (
        [clone(model).partial_fit(packed(), y, **classes).partial_fit(packed(), y)]
        if hasattr(model, "partial_fit")
        else []
    )
    for fitted in (
        *chunks,
        clone(model).fit(packed(), y),
        clone(model).fit(packed(), y).fit(packed(), y),
        clone(model).fit(packed().with_target(y)),
    ):
        assert fitted.feature_names_in_.dtype == object and tuple(fitted.feature_names_in_) == NAMES
        for rows in (X, packed()):
            fitted.predict(rows)
        assert tuple(fitted.to_sklearn().feature_names_in_) == NAMES
        assert tuple(pickle.loads(pickle.dumps(fitted)).feature_names_in_) == NAMES
    unnamed = DoubleSamplingQuantizer(8, random_state=0).fit_transform(X.to_numpy())
    assert not hasattr(fitted.fit(unnamed, y), "feature_names_in_")


OTHERS = [tuple("dcba"), tuple("abce"), tuple("wxyz"), tuple("abcde"), tuple("abc"), tuple("abcdefghijklm")]


def messages(work):
    """Warnings and error of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            work()
            error = None
        except ValueError as raised:
            error = str(raised)
    return [(one.category, str(one.message)) for one in caught], error


def rows_named(names):
    """Arrays, or frames, or packed rows with these names, of as many columns."""
    values = np.random.default_rng(1).normal(size=(20, len(names)))
    frame = pd.DataFrame(values, columns=list(names))
    return frame, DoubleSamplingQuantizer(8, random_state=0).fit_transform(frame)


@pytest.mark.parametrize("names", OTHERS, ids="".join)
@pytest.mark.parametrize("fitted_on", ["frame", "packed"])
@pytest.mark.parametrize("kind", ["regressor", "quantizer"])
def test_mismatches_are_those_of_scikit_learn(kind, fitted_on, names):
    """The same error, word for word, for frames and for packed rows, in every method."""
    X, y = data()
    frame, rows = rows_named(names)
    _, expected = messages(lambda: Ridge().fit(X, y).predict(frame))
    assert "feature names should match" in expected
    train = X if fitted_on == "frame" else packed()
    if kind == "regressor":
        model = ZipMLRegressor(8, random_state=0).fit(train, y)
        chunked = ZipMLRegressor(8, random_state=0).partial_fit(train, y)
        calls = [model.predict, lambda X: model.score(X, np.ones(20)), lambda X: chunked.partial_fit(X, np.ones(20))]
    else:
        model = DoubleSamplingQuantizer(8, random_state=0).fit(train)
        calls = [model.transform, model.quantize, model.inverse_transform]
    for call in calls:
        for given in (frame, rows):
            assert messages(lambda call=call, given=given: call(given)) == ([], expected)


def test_missing_names_are_warned_of():
    """On either side, as scikit-learn does, at the line of the caller."""
    X, y = data()
    named, unnamed = packed(), DoubleSamplingQuantizer(8, random_state=0).fit_transform(X.to_numpy())
    for train, test in ((named, unnamed), (unnamed, named), (named, X.to_numpy()), (X, unnamed), (unnamed, X)):
        first, second = (
            np.asarray(rows) if rows is unnamed else X if rows is named else rows for rows in (train, test)
        )
        expected = [(kind, text.replace("Ridge", "ZipMLRegressor")) for kind, text in ridge_warnings(first, second, y)]
        model = ZipMLRegressor(random_state=0).fit(train, y)
        assert len(expected) == 1 and messages(lambda m=model, t=test: m.predict(t)) == (expected, None)
    with pytest.warns(UserWarning, match="without feature names") as record:
        ZipMLRegressor(random_state=0).fit(unnamed, y).predict(named)
    assert record[0].filename == __file__


def ridge_warnings(train, test, y):
    """What Ridge warns of."""
    return messages(lambda: Ridge().fit(train, y).predict(test))[0]


def test_another_width():
    """Is found with names on one side only, too."""
    _, y = data()
    unnamed = DoubleSamplingQuantizer(8, random_state=0).fit_transform(np.ones((5, 3)))
    with pytest.warns(UserWarning, match="valid feature names"), pytest.raises(ValueError, match="X has 3 features"):
        ZipMLRegressor(random_state=0).fit(packed(), y).predict(unnamed)
    model = ZipMLRegressor(random_state=0).fit(np.ones((4, 3)), np.arange(4))
    with pytest.warns(UserWarning, match="without feature names"), pytest.raises(ValueError, match="X has 4 features"):
        model.predict(packed())


# Files that grow


def test_append(tmp_path):
    """Names have to be those of the file; a warning where one side has none."""
    X, y = data()
    path = tmp_path / "rows.zq"
    PackedMatrix.from_chunks(X, y, random_state=0).save(path)
    longer = PackedMatrix.append(path, X, y, random_state=1)
    assert longer.feature_names == NAMES and len(longer) == 800
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"names should match.*file.*\n.*same order") as error:
        PackedMatrix.append(path, X[["b", "a", "c", "d"]], y)
    assert "b" in str(error.value)
    with pytest.raises(ValueError, match=r"unseen.*\n- e\n.*missing.*\n- d"):
        PackedMatrix.append(path, X.rename(columns={"d": "e"}), y)
    assert path.read_bytes() == before
    with pytest.warns(UserWarning, match="does not have valid feature names, but the file") as record:
        assert PackedMatrix.append(path, X.to_numpy(), y).feature_names == NAMES
    assert record[0].filename == __file__
    PackedMatrix.from_chunks(X.to_numpy(), y, random_state=0).save(path)
    with pytest.warns(UserWarning, match="X has feature names, but the file"):
        assert PackedMatrix.append(path, X, y).feature_names is None


def test_from_chunks_on_the_levels_of_a_quantizer():
    """Its names have to be those of the source."""
    X, _ = data()
    quantizer = DoubleSamplingQuantizer(random_state=0).fit(X)
    with pytest.raises(ValueError, match="same order as they were in fit"):
        PackedMatrix.from_chunks(X[list("dcba")], quantizer=quantizer)
    with pytest.warns(UserWarning, match="X does not have valid feature names, but DoubleSamplingQuantizer"):
        assert PackedMatrix.from_chunks(X.to_numpy(), quantizer=quantizer).feature_names == NAMES
    unnamed = DoubleSamplingQuantizer(random_state=0).fit(X.to_numpy())
    with pytest.warns(UserWarning, match="X has feature names, but DoubleSamplingQuantizer"):
        assert PackedMatrix.from_chunks(X, quantizer=unnamed).feature_names is None


# Pipelines


KINDS = {"default": np.asarray, "pandas": pd.DataFrame, "polars": pl.from_pandas}


# names come through the quantizer and scikit-learn, whatever the model: one meets all kinds of input and output
@pytest.mark.parametrize(
    ("model", "kind", "output"),
    [(model, a, b) for model in MODELS for a in KINDS for b in KINDS if a == b or isinstance(model, ZipMLRegressor)],
)
def test_pipelines_warn_of_nothing(model, kind, output):
    """Packed in fit and passed on in predict, the rows have the same names or none."""
    if OLD and output == "polars":
        pytest.skip("scikit-learn before 1.9 does not read these names")
    X, y = data(model)
    X = KINDS[kind](X)
    pipelines = [
        make_pipeline(DoubleSamplingQuantizer(random_state=0), clone(model)),
        make_pipeline(DoubleSamplingQuantizer(quantize_unseen=True, random_state=0), clone(model)),
        make_pipeline(StandardScaler(), DoubleSamplingQuantizer(random_state=0), clone(model)),
        make_pipeline(DoubleSamplingQuantizer(8, random_state=0), DoubleSamplingQuantizer(random_state=0), model),
    ]
    with config_context(transform_output=output):
        for pipeline in pipelines:
            pipeline.fit(X, y)
            assert pipeline.predict(X).shape == (400,)
            assert pipeline.score(X, y) > 0.8
        assert cross_val_predict(pipelines[0], X, y).shape == (400,)
        search = GridSearchCV(pipelines[0], {"doublesamplingquantizer__sample_bits": [2, 4]}, cv=3).fit(X, y)
        assert search.predict(X).shape == (400,)


def test_a_pipeline_refuses_reordered_columns():
    """At its first step; and the model behind it knows the names as well."""
    X, y = data()
    pipeline = make_pipeline(DoubleSamplingQuantizer(random_state=0), ZipMLRegressor(random_state=0)).fit(X, y)
    assert tuple(pipeline[-1].feature_names_in_) == NAMES
    for predict in (pipeline.predict, pipeline[-1].predict):
        with pytest.raises(ValueError, match="same order"):
            predict(X[list("dcba")])


def test_names_of_a_column_transformer():
    """A frame that it makes names the columns of the packed rows behind it."""
    X, y = data()
    columns = ColumnTransformer([("scale", StandardScaler(), ["c", "a"])], remainder="drop")
    pipeline = make_pipeline(columns, DoubleSamplingQuantizer(random_state=0), ZipMLRegressor(random_state=0))
    pipeline.set_output(transform="pandas").fit(X, y)
    assert pipeline[-1].feature_names_in_.tolist() == ["scale__c", "scale__a"]
    pipeline.predict(X)


@pytest.mark.parametrize("last", [Ridge(), BaggingRegressor(ZipMLRegressor(random_state=0), 2, random_state=0)])
def test_other_estimators_see_arrays_without_names(last):
    """In fit, where they decode, and so in predict: neither is warned of."""
    X, y = data()
    pipeline = make_pipeline(DoubleSamplingQuantizer(8, random_state=0), last).fit(X, y)
    assert pipeline.score(X, y) > 0.9


def test_names_on_the_way():
    """transform gives an array that knows the names; what is made of it does not."""
    X, y = data()
    quantizer = DoubleSamplingQuantizer(random_state=0).fit(X)
    passed = quantizer.transform(X)
    assert isinstance(passed, np.ndarray) and passed.feature_names == NAMES
    for other in (passed[:5], passed[:, ::-1], passed + 1, passed.copy(), pickle.loads(pickle.dumps(passed))):
        assert other.feature_names is None
    model = ZipMLRegressor(random_state=0).fit(passed, y)
    assert tuple(model.feature_names_in_) == NAMES
    again = clone(quantizer).fit(passed)
    assert again.transform(passed).feature_names == again.quantize(passed).feature_names == NAMES
    with pytest.raises(ValueError, match="same order"):
        model.predict(quantizer.fit(X[list("dcba")]).transform(X[list("dcba")]))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but ZipMLRegressor"):
        model.predict(passed[:5])
    with pytest.warns(UserWarning, match="X does not have valid feature names, but DoubleSamplingQuantizer"):
        assert type(again.transform(X.to_numpy())) is np.ndarray
    unnamed = ZipMLRegressor(random_state=0).fit(X.to_numpy(), y)
    with pytest.warns(UserWarning, match="X has feature names, but ZipMLRegressor"):
        unnamed.predict(passed)

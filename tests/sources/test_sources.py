"""Chunks out of arrays, files, tables and iterables."""

import gzip

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array

from sklearn_zipml import PackedMatrix
from sklearn_zipml._sources import source as source_module
from sklearn_zipml._sources.source import open_source

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")
dataset = pytest.importorskip("pyarrow.dataset")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

FEATURES = ["a", "b", "c"]


@pytest.fixture
def frame():
    """Three features and a target."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((300, 3)).astype(np.float32), columns=FEATURES)
    return frame.assign(y=np.arange(300.0))


def everything(source):
    """X, y and names of all chunks."""
    chunks = list(source.chunks())
    y = None if chunks[0].y is None else np.concatenate([chunk.y for chunk in chunks])
    return np.concatenate([chunk.X for chunk in chunks]), y, chunks[0].names


def written(folder, frame, kind):
    """The frame as a file of some kind."""
    path, table = folder / f"data.{kind}", pa.Table.from_pandas(frame)
    if kind == "parquet":
        parquet.write_table(table, path, row_group_size=70)
    elif kind in ("feather", "arrow"):
        feather.write_feather(table, str(path))
    elif kind == "csv":
        csv.write_csv(table, path)
    else:
        path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    return path


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrow", "csv", "csv.gz"])
@pytest.mark.parametrize("as_text", [False, True])
def test_files(tmp_path, frame, kind, as_text):
    """Names, values and target, twice over; columns can be picked."""
    path = written(tmp_path, frame, kind)
    source = open_source(str(path) if as_text else path, target="y")
    for _ in range(2):
        X, y, names = everything(source)
        np.testing.assert_allclose(X, frame[FEATURES], rtol=1e-6)
        np.testing.assert_array_equal(y, frame["y"])
        assert names == ("a", "b", "c") == source.names
    assert source.repeatable
    X, y, names = everything(open_source(path, target=["y", "a"], columns=["c"]))
    np.testing.assert_allclose(X, frame[["c"]], rtol=1e-6)
    assert (y.shape, names) == ((300, 2), ("c",))


def test_folder_of_files(tmp_path, frame):
    """All files of a folder."""
    for k in range(2):
        parquet.write_table(pa.Table.from_pandas(frame), tmp_path / f"part{k}.parquet")
    source = open_source(tmp_path, target="y")
    assert source.n_rows == 600
    assert len(everything(source)[0]) == 600


def test_numpy_file(tmp_path, frame):
    """Memory-mapped; columns are numbered, the target taken out of them."""
    path = tmp_path / "data.npy"
    np.save(path, frame.to_numpy())
    X, y, names = everything(open_source(path, target=3))
    np.testing.assert_array_equal(X, frame[FEATURES])
    np.testing.assert_array_equal(y, frame["y"])
    assert names is None
    X, y, _ = everything(open_source(path, target=[3, 0], columns=[2]))
    assert (X.shape, y.shape) == ((300, 1), (300, 2))


def test_numpy_file_of_objects(tmp_path):
    """Nothing is unpickled."""
    path = tmp_path / "data.npy"
    np.save(path, np.array([[object()]]), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        open_source(path)


def tables(frame):
    """The frame as in-memory tables; the last two can be read once only."""
    table = pa.Table.from_pandas(frame)
    yield frame, True
    yield pl.from_pandas(frame), True
    yield table, True
    yield table.to_batches()[0], True
    yield dataset.dataset(table), True
    yield [frame[:100], frame[100:]], True
    yield (lambda: table.to_batches(max_chunksize=7)), True
    yield table.to_reader(max_chunksize=50), False
    yield (chunk for chunk in (frame[:100], frame[100:])), False


def test_tables(frame):
    """pandas, polars, Arrow, and iterables of them."""
    for data, repeatable in tables(frame):
        source = open_source(data, target="y")
        assert source.repeatable == repeatable
        X, y, names = everything(source)
        np.testing.assert_array_equal(X, frame[FEATURES])
        np.testing.assert_array_equal(y, frame["y"])
        assert names == ("a", "b", "c")
        assert X.dtype == np.float32


def test_readers(tmp_path, frame):
    """A Parquet file by its row groups; the chunks of pandas' reader, once or from a callable."""
    source = open_source(parquet.ParquetFile(written(tmp_path, frame, "parquet")), target="y")
    np.testing.assert_array_equal(everything(source)[0], frame[FEATURES])
    path = written(tmp_path, frame, "csv")
    with pd.read_csv(path, chunksize=70) as reader:
        assert not open_source(reader, target="y").repeatable
    source = open_source(lambda: pd.read_csv(path, chunksize=70), target="y")
    assert source.repeatable
    assert len(list(source.chunks())) == 5


class Stored:
    """What HDF5 and Zarr arrays have in common."""

    def __init__(self, array, chunks):
        self.array, self.chunks, self.asked = array, chunks, []
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key):
        self.asked.append((key.start, key.stop))
        return self.array[key]


def test_stored_arrays(monkeypatch):
    """Read by slices that end where the stored chunks do."""
    monkeypatch.setattr(source_module, "CHUNK_BYTES", 25 * 8 * 4)
    array = np.random.default_rng(0).standard_normal((100, 4))
    stored = Stored(array, (10, 4))
    X, y, _ = everything(open_source(stored, np.arange(100)))
    np.testing.assert_array_equal(X, array)
    np.testing.assert_array_equal(y, np.arange(100))
    assert stored.asked == [(k, k + 20) for k in range(0, 100, 20)]
    assert PackedMatrix.from_chunks(Stored(array, None)).shape == (100, 4)


def test_pairs_and_lists():
    """Chunks with their target; lists of lists are arrays."""
    chunks = [(np.ones((3, 2)), [1, 2, 3]), ([[1, 2], [3, 4]], np.array([4, 5]))]
    X, y, _ = everything(open_source(chunks))
    assert X.shape == (5, 2)
    np.testing.assert_array_equal(y, [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.Categorical(["x", "y", "x"]), r"Column 'b' is of type dictionary.*OneHotEncoder"),
        (["x", "y", "x"], r"Column 'b' is of type .*string.*OneHotEncoder"),
        (pd.to_datetime(["2020-01-01"] * 3), r"Column 'b' is of type timestamp.*cast it"),
    ],
)
def test_columns_that_are_not_numbers(tmp_path, column, message):
    """Named with their type and what to do; a choice of columns leaves them out."""
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": column})
    path = tmp_path / "data.parquet"
    frame.to_parquet(path)
    with pytest.raises(ValueError, match=message):
        PackedMatrix.from_chunks(path)
    assert PackedMatrix.from_chunks(path, columns=["a"]).shape == (3, 1)
    with pytest.raises(ValueError, match="Column 'b'"):
        PackedMatrix.from_chunks(frame)


def test_nulls(tmp_path):
    """Named in Arrow data; NaN in data frames."""
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": pd.array([1, None, 3], dtype="Int64")})
    path = tmp_path / "data.parquet"
    frame.to_parquet(path)
    with pytest.raises(ValueError, match=r"Column 'b' holds 1 null.*SimpleImputer"):
        PackedMatrix.from_chunks(path)
    with pytest.raises(ValueError, match="NaN"):
        PackedMatrix.from_chunks(frame)


def test_labels_as_target(tmp_path):
    """Strings and dictionaries may be targets."""
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "y": ["u", "v", "long"], "z": pd.Categorical(["p", "q", "p"])})
    path = tmp_path / "data.parquet"
    frame.to_parquet(path)
    packed = PackedMatrix.from_chunks(path, target="y", columns=["a"])
    assert packed.target.tolist() == ["u", "v", "long"]
    assert packed.feature_names == ("a",)
    assert PackedMatrix.from_chunks(path, target="z", columns=["a"]).target.tolist() == ["p", "q", "p"]
    assert PackedMatrix.from_chunks(frame, target="y", columns=["a"]).target.tolist() == ["u", "v", "long"]


def test_integers_and_booleans(tmp_path):
    """Narrow ones as they are; float32 where that is exact, else float64."""
    for dtype, wide in ((np.int16, np.int16), (bool, bool), (np.float16, np.float32), (np.int64, np.float64)):
        path = tmp_path / "data.parquet"
        pd.DataFrame({"a": np.array([0, 1, 1], dtype=dtype)}).to_parquet(path)
        X, _, _ = everything(open_source(path))
        assert X.dtype == wide
        np.testing.assert_array_equal(X[:, 0], [0, 1, 1])


def test_unknown_columns(frame):
    """The message names what there is."""
    with pytest.raises(ValueError, match=r"no column 'price'; it has 'a', 'b'"):
        list(open_source(frame, target="price").chunks())
    with pytest.raises(ValueError, match="no column 9; it has columns 0 to 1"):
        list(open_source(np.ones((2, 2)), target=9).chunks())
    with pytest.raises(ValueError, match="y or target"):
        open_source(frame, frame["y"], target="y")


def test_files_that_cannot_be_read(tmp_path):
    """Missing, of an unknown kind, an empty folder."""
    with pytest.raises(FileNotFoundError, match="nothing"):
        open_source(tmp_path / "nothing.parquet")
    (tmp_path / "data.h5").write_bytes(b"")
    with pytest.raises(ValueError, match="Open HDF5"):
        open_source(tmp_path / "data.h5")
    with pytest.raises(ValueError, match="Cannot tell"):
        open_source(tmp_path)


def test_without_pyarrow(tmp_path, frame, monkeypatch):
    """The error names the extra."""
    path = written(tmp_path, frame, "csv")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.dataset", None)
    with pytest.raises(ImportError, match=r"sklearn_zipml\[arrow\]"):
        open_source(path)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (3, TypeError, "Cannot read chunks of int"),
        ([3], TypeError, "A chunk is of type int"),
        (np.ones(3), ValueError, "two-dimensional"),
        ([np.ones(3)], ValueError, "two-dimensional"),
        ([np.array([["a"]])], ValueError, "dtype"),
        ([np.ones((2, 2), dtype=complex)], ValueError, "dtype"),
        ([(np.ones((3, 2)), np.ones(2))], ValueError, "3 rows and a target of 2"),
        (lambda: 3, TypeError, "gave int; a callable has to return an iterable of chunks"),
        ([(np.ones((3, 2)), csr_array(np.ones((3, 1))))], TypeError, "y is sparse; it has to be dense"),
        ([csr_array(np.ones((3, 2)))], TypeError, "A chunk is sparse; it has to be dense"),
    ],
)
def test_data_that_cannot_be_chunked(data, error, message):
    """Refused with what is wrong."""
    with pytest.raises(error, match=message):
        PackedMatrix.from_chunks(data)


def test_sparse_matrices():
    """Refused."""
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="Sparse"):
        PackedMatrix.from_chunks(sparse.eye(3, format="csr"))


def test_target_of_another_length():
    """Found when the rows have been read."""
    with pytest.raises(ValueError, match="3 rows and y has 4"):
        PackedMatrix.from_chunks(np.ones((3, 2)), np.arange(4))


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (np.zeros((40, 0)), {}),
        (np.ones((40, 3)), {"columns": []}),
        (np.ones((40, 2)), {"target": [0, 1]}),
        (pd.DataFrame({"y": [1.0, 2.0]}), {"target": "y"}),
        (pl.DataFrame({"y": [1.0, 2.0]}), {"target": "y"}),
        (pa.table({"y": [1.0, 2.0]}), {"target": "y"}),
        ([np.zeros((40, 0))], {}),
        (iter([(np.zeros((40, 0)), np.zeros(40))]), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_features(tmp_path, data, settings):
    """Are refused wherever rows come in: before, the process died of a division by zero."""
    with pytest.raises(ValueError, match="leave no features to pack; at least one is needed"):
        PackedMatrix.from_chunks(data, **settings)
    path = tmp_path / "data.zq"
    PackedMatrix.from_chunks(np.eye(3), random_state=0).save(path)
    with pytest.raises(ValueError, match="leave no features to pack"):
        PackedMatrix.append(path, np.zeros((4, 0)))


def test_a_file_of_nothing_but_the_target(tmp_path):
    """As csv files with one column are."""
    path = tmp_path / "data.csv"
    path.write_text("y\n1\n2\n")
    with pytest.raises(ValueError, match="leave no features to pack"):
        PackedMatrix.from_chunks(path, target="y")


def test_names_that_occur_twice(tmp_path):
    """Are refused where such a column would be packed: a data frame answered with all of them for each mention."""
    X = np.random.default_rng(0).standard_normal((300, 5))
    frame = pd.DataFrame(X, columns=list("aabbc"))
    table = pa.Table.from_arrays(list(X.T), names=list("aabbc"))
    path = tmp_path / "data.csv"
    frame.to_csv(path, index=False)
    with pytest.raises(ValueError, match="multiple columns named a"):  # pyarrow's own words
        PackedMatrix.from_chunks(path)
    for data in (frame, table, [frame], lambda: [table]):
        with pytest.raises(ValueError, match="Column 'a' is there, or is asked for, more than once"):
            PackedMatrix.from_chunks(data)
        with pytest.raises(ValueError, match="Column 'b' is there"):
            PackedMatrix.from_chunks(data, target="b", columns=["c"])
    assert PackedMatrix.from_chunks(frame, columns=["c"], random_state=0).shape == (300, 1)
    assert PackedMatrix.from_chunks(table, columns=["c"], random_state=0).feature_names == ("c",)
    for columns in ([0, 0], [1, 2, 1]):
        with pytest.raises(ValueError, match="more than once"):
            PackedMatrix.from_chunks(X, columns=columns)
    with pytest.raises(ValueError, match="more than once"):
        PackedMatrix.from_chunks(X, target=[3, 3])


@pytest.mark.parametrize("kind", ["int64", "float32", "bool"])
def test_nulls_of_a_target(tmp_path, kind):
    """A number that is not known is NaN, which a fit drops if it is asked to; a label has to be known."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = np.array([0, 1, 1, 0]).astype(kind)
    numbers = pa.array(values, mask=np.array([False, True, False, False]))
    table = pa.table({"a": [1.0, 2.0, 3.0, 4.0], "y": numbers, "label": ["a", None, "b", "c"]})
    pq.write_table(table, tmp_path / "data.parquet")
    for source in (table, tmp_path / "data.parquet"):
        packed = PackedMatrix.from_chunks(source, columns=["a"], target="y")
        np.testing.assert_array_equal(packed.target, [0, np.nan, 1, 0])
        with pytest.raises(ValueError, match="Column 'label' holds 1 null"):
            PackedMatrix.from_chunks(source, columns=["a"], target="label")

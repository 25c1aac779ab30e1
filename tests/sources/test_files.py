"""Files: what paths, patterns, lists and folders stand for, columns that folders tell, headers, and schemas."""

import bz2
import gzip
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from sklearn_zipml import PackedMatrix
from sklearn_zipml._sources.csv_header import looks_like_numbers
from sklearn_zipml._sources.source import open_source

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")
dataset = pytest.importorskip("pyarrow.dataset")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

KINDS = ["parquet", "feather", "csv", "csv.gz", "csv.bz2"]


def frame(start=0, n=30, **columns):
    """Rows that tell their number."""
    return pd.DataFrame({"a": np.arange(start, start + n) + 0.5, "b": np.arange(n) % 3, **columns})


def write(folder, name, rows):
    """A frame as a file, whose kind the name tells."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith("parquet"):
        parquet.write_table(pa.Table.from_pandas(rows, preserve_index=False), path, row_group_size=7)
    elif name.endswith(("feather", "arrow")):
        feather.write_feather(rows, str(path))
    elif name.endswith("npy"):
        np.save(path, rows.to_numpy(dtype=float))
    else:
        pack = {".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix, bytes)
        path.write_bytes(pack(rows.to_csv(index=False).encode()))
    return path


def everything(data, **settings):
    """X, y and names of a source, which is read twice."""
    source = open_source(data, **settings)
    for _ in range(2):
        chunks = list(source.chunks())
    y = None if chunks[0].y is None else np.concatenate([chunk.y for chunk in chunks])
    X = np.concatenate([chunk.X for chunk in chunks])
    assert source.n_rows in (None, len(X))
    return X, y, source.names


# What a path stands for


@pytest.mark.parametrize("kind", [*KINDS, "npy"])
def test_many_files(tmp_path, kind):
    """A list in its order, a pattern and a folder in the order of names."""
    paths = [write(tmp_path, f"part{k}.{kind}", frame(30 * k)) for k in range(3)]
    expected = np.arange(90) + 0.5
    for data in (
        paths,
        [str(path) for path in paths],
        tuple(paths),
        tmp_path,
        str(tmp_path / f"part*.{kind}"),
        tmp_path / "part[012].*",
        [tmp_path / "part[01].*", paths[2]],
    ):
        X, _, names = everything(data)
        assert_array_equal(X[:, 0], expected)
        assert names == (None if kind == "npy" else ("a", "b"))
    X, y, _ = everything(paths[::-1], target=1 if kind == "npy" else "b")
    assert_array_equal(X[:, 0], np.concatenate([expected[60:], expected[30:60], expected[:30]]))
    assert_array_equal(y, np.tile(np.arange(30) % 3, 3))
    assert open_source(paths).n_rows == (None if "csv" in kind else 90)


def test_files_among_chunks(tmp_path):
    """In an iterable, with a target beside them or without; the chunks need not be of one kind."""
    paths = [write(tmp_path, f"part{k}.parquet", frame(30 * k)) for k in range(2)]
    y = np.arange(30)
    for data in (iter(paths), lambda: iter(paths), [*paths, frame(60)], [(path, y) for path in paths]):
        source = open_source(data)
        assert_array_equal(np.concatenate([chunk.X for chunk in source.chunks()])[:60, 0], np.arange(60) + 0.5)
    chunks = list(open_source([(tmp_path, np.arange(60))]).chunks())
    assert_array_equal(np.concatenate([chunk.y for chunk in chunks]), np.arange(60))


def test_packing_a_list(tmp_path):
    """Gives what the whole frame gives; and so does appending one."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.standard_normal((400, 3)), columns=list("abc")).assign(y=np.arange(400.0))
    paths = [write(tmp_path, f"{k}.parquet", rows[100 * k : 100 * (k + 1)]) for k in range(4)]
    whole = PackedMatrix.from_chunks(rows, target="y", random_state=0)
    packed = PackedMatrix.from_chunks(paths, target="y", random_state=0)
    assert packed == whole and packed.feature_names == whole.feature_names == ("a", "b", "c")
    assert_array_equal(packed.target, whole.target)
    packed.save(tmp_path / "rows.zq")
    longer = PackedMatrix.append(tmp_path / "rows.zq", str(tmp_path / "[01].parquet"), target="y", random_state=1)
    assert_array_equal(longer.target, np.r_[np.arange(400), np.arange(200)])


def test_what_is_not_there(tmp_path):
    """Is named."""
    write(tmp_path, "a.csv", frame())
    for data, message in (
        (tmp_path / "b.csv", "No such file or folder: .*b.csv"),
        ([tmp_path / "a.csv", tmp_path / "b.csv"], "No such file or folder: .*b.csv"),
        (tmp_path / "c*.csv", r"No file matches .*c\*.csv"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            open_source(data)
    (tmp_path / "readme.txt").write_text("nothing to see")
    everything(tmp_path)  # a folder may hold other things
    with pytest.raises(ValueError, match=r"Cannot tell what .*readme.txt holds"):
        open_source([tmp_path / "a.csv", tmp_path / "readme.txt"])
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match=r"empty.csv is empty"):
        open_source(tmp_path)
    (tmp_path / "empty.csv").unlink()
    write(tmp_path, "a.parquet", frame())
    with pytest.raises(ValueError, match=r"several kinds, such as .*a.csv, .*a.parquet"):
        open_source(tmp_path)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not at all")
    with pytest.raises(ValueError, match=r"broken.parquet cannot be read"):
        open_source(tmp_path / "*.parquet")


def test_hidden_files(tmp_path):
    """Of tools are left out of folders, as pyarrow does."""
    write(tmp_path, "a.csv", frame())
    write(tmp_path, "_temporary/b.csv", frame())
    write(tmp_path, ".ipynb_checkpoints/a.csv", frame())
    assert len(everything(tmp_path)[0]) == 30


# Columns that names of folders tell


@pytest.mark.parametrize("kind", KINDS)
def test_partitioned_folders(tmp_path, kind):
    """The column of year=2024/ is one as any other: packed, picked, or the target."""
    for year in (2023, 2024):
        for month in ("01", "11"):
            write(tmp_path, f"year={year}/month={month}/rows.{kind}", frame(year))
    X, _, names = everything(tmp_path)
    assert names == ("a", "b", "year", "month")
    assert_array_equal(np.unique(X[:, 2:], axis=0), [[2023, 1], [2023, 11], [2024, 1], [2024, 11]])
    assert_array_equal(X[:, 2], np.floor(X[:, 0] / 2023) * 0 + np.repeat([2023, 2024], 60))
    assert_array_equal(everything(str(tmp_path / "year=*/*/rows.*"))[0], X)
    assert_array_equal(everything(sorted(tmp_path.rglob("rows.*")))[0], X)
    X, y, names = everything(tmp_path, target="year", columns=["month", "b"])
    assert (names, X.shape) == (("month", "b"), (120, 2))
    assert_array_equal(y, np.repeat([2023, 2024], 60))
    assert everything(tmp_path, columns=["month"])[0].shape == (120, 1)
    assert everything(tmp_path / "year=2024")[2] == ("a", "b", "month")  # the folder that is named tells nothing more


def test_one_partition(tmp_path):
    """Is a column, too, so that others can be appended."""
    write(tmp_path, "year=2024/rows.parquet", frame())
    assert everything(tmp_path)[2] == ("a", "b", "year")


def test_partitions_of_fractions_and_text(tmp_path):
    """Numbers where all are; text may be a target, and is refused as a feature."""
    for share, place in (("0.5", "caf%C3%A9"), ("2", "b c")):
        write(tmp_path, f"share={share}/place={place}/rows.parquet", frame())
    X, y, _ = everything(tmp_path, target="place")
    assert_array_equal(np.unique(X[:, 2]), [0.5, 2])
    assert set(y) == {"café", "b c"}
    with pytest.raises(ValueError, match=r"Column 'place' is of type string in .*rows.parquet.*leave it out"):
        PackedMatrix.from_chunks(tmp_path)
    assert everything(tmp_path, columns=["a", "share"])[0].shape == (60, 2)


def test_partitions_that_are_missing(tmp_path):
    """A null is refused as any null; a file elsewhere has not the columns of the others."""
    write(tmp_path, "year=2024/rows.parquet", frame())
    write(tmp_path, "year=__HIVE_DEFAULT_PARTITION__/rows.parquet", frame())
    with pytest.raises(ValueError, match="'year'"):
        PackedMatrix.from_chunks(tmp_path)
    (tmp_path / "year=__HIVE_DEFAULT_PARTITION__" / "rows.parquet").rename(tmp_path / "z.parquet")
    with pytest.raises(ValueError, match=r"z.parquet has no column 'year', which .*rows.parquet has"):
        PackedMatrix.from_chunks(tmp_path)
    assert everything(tmp_path, columns=["a"])[0].shape == (60, 1)


def test_partitions_that_are_columns_too(tmp_path):
    """The file has the last word."""
    for year in (2023, 2024):
        write(tmp_path, f"year={year}/rows.parquet", frame(year=float(year) + 0.25))
    X, _, names = everything(tmp_path)
    assert names == ("a", "b", "year")
    assert_array_equal(X[:, 2], np.repeat([2023.25, 2024.25], 30))


# Schemas


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_that_drift(tmp_path, kind):
    """The error names the file and the column."""
    first = write(tmp_path, f"0.{kind}", frame(y=["u", "v", "w"] * 10))
    cases = [
        (frame(y="u").drop(columns="b"), rf"1.{kind} has no column 'b', which .*0.{kind} has"),
        (frame(y="u", z=1), rf"1.{kind} has a column 'z', which .*0.{kind} has not"),
        (
            frame(y="u").assign(b="text"),
            rf"Column 'b' is of type int64 in .*0.{kind} and of type .*string in .*1.{kind}",
        ),
        (frame(y=1), rf"Column 'y' is of type .*string in .*0.{kind} and of type int64 in .*1.{kind}"),
    ]
    for rows, message in cases:
        second = write(tmp_path, f"1.{kind}", rows)
        for data in ([first, second], tmp_path):
            with pytest.raises(ValueError, match=message):
                PackedMatrix.from_chunks(data, target="y")
    write(tmp_path, f"1.{kind}", frame(y="u", z=1))
    assert everything(tmp_path, target="y", columns=["a", "b"])[0].shape == (60, 2)  # which leaves it out, with a word
    write(tmp_path, f"1.{kind}", frame(30, y="u")[["y", "b", "a"]].assign(b=0.5))
    X, _, names = everything(tmp_path, target="y")  # order and kind of number may differ
    assert names == ("a", "b")
    assert_array_equal(X[:, 0], np.arange(60) + 0.5)
    assert_array_equal(X[30:, 1], np.full(30, 0.5))


def test_arrays_that_drift(tmp_path):
    """By their width."""
    paths = [write(tmp_path, "0.npy", frame()), write(tmp_path, "1.npy", frame(z=1))]
    with pytest.raises(ValueError, match=r"1.npy has shape \(30, 3\) and .*0.npy \(30, 2\)"):
        PackedMatrix.from_chunks(paths)


def test_values_that_drift(tmp_path):
    """What pyarrow finds in the middle of a CSV file is told with the file's name."""
    rows = "a,b\n" + "1,2\n" * 300_000 + "1.5,x\n"
    (tmp_path / "rows.csv").write_text(rows)
    with pytest.raises(ValueError, match=r"rows.csv cannot be read: .*CSV conversion error"):
        PackedMatrix.from_chunks(tmp_path / "rows.csv")


# The first line of CSV files


@pytest.mark.parametrize(
    ("line", "numbers"),
    [
        ("a,b,c", False),
        ("a", False),
        ("x1,x2,1st", False),
        ("a,b,2020", False),
        ("0,1,2,3", False),
        ("1,2,3,4,5", False),
        ("0,1,2,3,label", False),
        (",0,1", False),
        ("1.5,2.5", True),
        ("5.1,3.5,1.4,0.2,setosa", True),
        ("setosa,versicolor,0.2", True),
        ("0,1", True),
        ("1", True),
        ("0,0,0,0,1,0", True),
        ("2019,2020,2021,2022", True),
        ("-1,yes", True),
        ("1e5, +3 ,x", True),
        ("nan,inf,infinity", False),
        ("1_000,2_000", False),
    ],
)
def test_lines_that_look_like_numbers(line, numbers):
    """Decimals, or whole numbers that do not just count the columns."""
    assert looks_like_numbers(line.split(",")) == numbers


@pytest.mark.parametrize("kind", ["csv", "csv.gz"])
def test_files_without_header(tmp_path, kind):
    """Their first row is not dropped: it is an error to be silent about it, and columns are numbered."""
    rows = frame()
    text = rows.to_csv(index=False, header=False).encode()
    path = tmp_path / f"rows.{kind}"
    path.write_bytes(gzip.compress(text) if kind.endswith("gz") else text)
    for data in (path, [path], tmp_path):
        with pytest.raises(ValueError, match=rf"first line of .*rows.{kind} looks like a row.*0.5, 0.*header=False"):
            PackedMatrix.from_chunks(data)
        X, y, names = everything(data, header=False)
        assert names is None and y is None
        assert_array_equal(X, rows)
        X, y, _ = everything(data, header=False, target=1)
        assert_array_equal(X[:, 0], rows["a"])
        assert_array_equal(y, rows["b"])
        assert_array_equal(everything(data, header=False, columns=[1])[0], rows[["b"]])
    with pytest.raises(ValueError, match="no column 'b'; it has columns 0 to 1"):
        open_source(path, header=False, target="b")
    X, _, names = everything(path, header=True)
    assert names == ("0.5", "0")
    assert len(X) == 29
    packed = PackedMatrix.from_chunks(path, header=False, target=1, random_state=0)
    assert packed.shape == (30, 1) and packed.feature_names is None
    packed.save(tmp_path / "rows.zq")
    longer = PackedMatrix.append(tmp_path / "rows.zq", path, header=False, target=1)
    assert longer.shape == (60, 1)


def test_each_file_has_a_header(tmp_path):
    """Or none has."""
    first = write(tmp_path, "0.csv", frame())
    (tmp_path / "1.csv").write_text(frame().to_csv(index=False, header=False))
    with pytest.raises(ValueError, match=r"first line of .*1.csv"):
        open_source([first, tmp_path / "1.csv"])


def test_names_of_other_programs(tmp_path):
    """A byte order mark, quotes, the numbers that pandas gives unnamed columns."""
    (tmp_path / "a.csv").write_bytes('"a","b c"\n1,2\n'.encode("utf-8-sig"))
    assert everything(tmp_path / "a.csv")[2] == ("a", "b c")
    pd.DataFrame(np.ones((3, 5))).to_csv(tmp_path / "b.csv", index=False)
    X, _, names = everything(tmp_path / "b.csv")
    assert (X.shape, names) == ((3, 5), ("0", "1", "2", "3", "4"))


def test_datasets_of_csv_files(tmp_path):
    """That are opened by the caller have the same fault and the same way out."""
    (tmp_path / "rows.csv").write_text(frame().to_csv(index=False, header=False))
    opened = dataset.dataset(tmp_path / "rows.csv", format="csv")
    with pytest.raises(ValueError, match="first line of the dataset"):
        PackedMatrix.from_chunks(opened)
    assert len(everything(opened, header=True)[0]) == 29


def test_header_is_of_csv_files(tmp_path):
    """Elsewhere it is refused."""
    path = write(tmp_path, "rows.parquet", frame())
    for data in (path, frame(), frame().to_numpy(), [frame()]):
        with pytest.raises(ValueError, match="header=False is for CSV files"):
            PackedMatrix.from_chunks(data, header=False)


# The index of a data frame


def indexed(kind, index, folder):
    """A frame with an index, as a file or a table."""
    rows = frame().set_axis(index)
    path = folder / f"rows.{kind}"
    if kind == "csv":
        rows.to_csv(path)
    elif kind == "parquet":
        rows.to_parquet(path)
    elif kind == "feather":
        feather.write_feather(pa.Table.from_pandas(rows), str(path))
    else:
        return pa.Table.from_pandas(rows)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather", "table"])
@pytest.mark.parametrize("name", [None, "id"])
def test_an_index(tmp_path, kind, name):
    """Is left out with a warning that names it, unless it is asked for; rows are those of the frame."""
    index = pd.Index(np.arange(100, 130), name=name)
    data = indexed(kind, index, tmp_path)
    label = name or ("" if kind == "csv" else "__index_level_0__")
    if (kind, name) == ("csv", "id"):  # nothing tells it from other columns
        assert everything(data)[2] == ("id", "a", "b")
        return
    with pytest.warns(UserWarning, match=rf"Column.* '{label}'.* left out.*index.*`columns`") as record:
        packed = PackedMatrix.from_chunks(data, target="b", random_state=0)
    assert len(record) == 1 and record[0].filename == __file__  # though it is read twice
    assert packed.feature_names == ("a",)
    assert packed == PackedMatrix.from_chunks(frame(), target="b", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        X, _, names = everything(data, columns=["a", label])
        assert names == ("a", label)
        assert_array_equal(X[:, 1], index)
        assert everything(data, target=label, columns=["a"])[1].tolist() == index.tolist()


def test_an_index_that_takes_no_room(tmp_path):
    """A range is none of the columns."""
    X, _, names = everything(indexed("parquet", pd.RangeIndex(30), tmp_path))
    assert names == ("a", "b") and X.shape == (30, 2)

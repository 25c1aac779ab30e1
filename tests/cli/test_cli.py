"""The command line, run in this process and once as a module."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import train_test_split

from sklearn_zipml import PackedMatrix, ZipMLLogisticRegression, ZipMLRegressor
from sklearn_zipml._cli import main

pytest.importorskip("pyarrow")


@pytest.fixture
def table(tmp_path):
    """A Parquet file with a price to predict and a label."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((500, 4)).astype(np.float32), columns=list("abcd"))
    frame["price"] = frame.sum(axis=1) + 0.1 * rng.standard_normal(500)
    frame["kind"] = np.where(frame["a"] > 0, "high", "low")
    path = tmp_path / "data.parquet"
    frame.to_parquet(path)
    return path


def run(*arguments):
    """Exit code of a command."""
    return main([str(argument) for argument in arguments])


def answer(capsys):
    """What a command with --json printed."""
    return json.loads(capsys.readouterr().out)


def test_pack_info_fit(tmp_path, table, capsys):
    """From a table to coefficients."""
    packed, model = tmp_path / "data.zq", tmp_path / "model.json"
    columns = ["--columns", "a,b,c,d"]
    assert run("pack", table, "--target", "price", *columns, "--bits", 4, "-o", packed, "--seed", 0, "--json") == 0
    result = answer(capsys)
    assert (result["rows"], result["columns"], result["bits"]) == (500, 4, 4)
    assert result["bytes"] == packed.stat().st_size
    assert run("info", packed, "--verify", "--json") == 0
    assert answer(capsys)["feature_names"] == list("abcd")
    assert run("fit", packed, "--seed", 0, "-o", model, "--json") == 0
    assert answer(capsys)["task"] == "regression"
    written = json.loads(model.read_text())
    expected = ZipMLRegressor(random_state=0).fit(PackedMatrix.load(packed))
    np.testing.assert_array_equal(written["coef"], expected.coef_.astype(float))
    assert written["feature_names"] == list("abcd")


def test_classification(tmp_path, table, capsys):
    """Text as target; fewer bits than the file has."""
    packed, model = tmp_path / "data.zq", tmp_path / "model.json"
    assert run("pack", table, "--target", "kind", "--columns", "a,b,c,d", "-o", packed, "--bits", 8) == 0
    assert "500" in capsys.readouterr().out
    assert run("fit", packed, "--bits", 2, "--C", 0.5, "-o", model, "--json") == 0
    result = answer(capsys)
    assert (result["task"], result["bits"]) == ("classification", 2)
    assert result["train_accuracy"] > 0.8 and 0 <= result["rounding_loss"] < 0.05
    assert json.loads(model.read_text())["classes"] == ["high", "low"]


def test_append(tmp_path, table, capsys):
    """More rows in the same file."""
    packed = tmp_path / "data.zq"
    arguments = ["pack", table, "--target", "price", "--columns", "a,b", "-o", packed, "--json"]
    assert run(*arguments) == 0
    assert run(*arguments, "--append") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[1])
    assert (result["rows"], result["parts"]) == (1000, 2)


def test_numbered_columns(tmp_path, capsys):
    """.npy files."""
    path = tmp_path / "data.npy"
    np.save(path, np.random.default_rng(0).standard_normal((100, 5)))
    assert run("pack", path, "--target", 4, "--target", 0, "--columns", "1,2", "-o", tmp_path / "d.zq", "--json") == 0
    assert answer(capsys)["target"] == "float64, shape (100, 2)"
    assert run("pack", path, "--target", "price", "-o", tmp_path / "d.zq") == 1
    assert "numbered from 0" in capsys.readouterr().err


def test_append_takes_no_other_settings(tmp_path, table, capsys):
    """Those that contradict the file are refused, and the file is what it was; its own may be repeated."""
    packed = tmp_path / "data.zq"
    arguments = ["pack", table, "--columns", "a,b", "-o", packed, "--json"]
    assert run(*arguments, "--bits", 4, "--levels", "uniform") == 0
    before = packed.read_bytes()
    for option, value, own in (
        ("--bits", 2, 4),
        ("--sampling", "naive", "compensated"),
        ("--levels", "optimal", "uniform"),
        ("--draws", 3, 2),
    ):
        capsys.readouterr()
        assert run(*arguments, "--append", option, value) == 1
        assert f"{option} {value} does not go with --append" in (error := capsys.readouterr().err)
        assert f"has {option} {own}" in error
        assert packed.read_bytes() == before
    own = ["--bits", 4, "--sampling", "compensated", "--levels", "uniform", "--draws", 2]
    assert run(*arguments, "--append", *own) == run(*arguments, "--append") == 0
    assert PackedMatrix.load(packed).shape == (1500, 2)
    double = tmp_path / "double.zq"
    kind = ["--sampling", "double", "--draws", 3]
    assert run("pack", table, "--columns", "a", "-o", double, *kind) == 0
    assert run("pack", table, "--columns", "a", "-o", double, "--append", *kind) == 0
    assert run("pack", table, "--columns", "a", "-o", double, "--append", "--draws", 2) == 1
    assert run("pack", table, "-o", tmp_path / "nothing.zq", "--append", "--bits", 2) == 1
    assert not (tmp_path / "nothing.zq").exists()


def test_predict_and_score(tmp_path, table, capsys):
    """What the estimator says, from tables, arrays and packed files; names decide the columns."""
    packed, model, out = tmp_path / "data.zq", tmp_path / "model.json", tmp_path / "out.npy"
    assert run("pack", table, "--target", "price", "--columns", "a,b,c,d", "--bits", 8, "-o", packed, "--seed", 0) == 0
    assert run("fit", packed, "--seed", 0, "-o", model) == 0
    estimator = ZipMLRegressor(8, random_state=0).fit(PackedMatrix.load(packed))
    frame = pd.read_parquet(table)
    expected = estimator.predict(frame[list("abcd")])
    assert run("predict", model, table, "-o", out) == 0
    np.testing.assert_allclose(np.load(out), expected, rtol=1e-6)
    turned = tmp_path / "turned.csv"
    frame[list("dcba")].to_csv(turned, index=False, sep=";")
    capsys.readouterr()
    assert run("predict", model, turned, "--delimiter", ";") == 0
    np.testing.assert_allclose(np.array(capsys.readouterr().out.split(), dtype=float), expected, rtol=1e-5)
    np.save(tmp_path / "rows.npy", frame[list("abcd")].to_numpy())
    np.save(tmp_path / "price.npy", frame["price"].to_numpy())
    r2 = r2_score(frame["price"], expected)
    for arguments in ([table, "--target", "price"], [tmp_path / "rows.npy", "--y", tmp_path / "price.npy"]):
        assert run("score", model, *arguments, "--json") == 0
        assert answer(capsys)["r2"] == pytest.approx(r2, abs=1e-5)
    assert run("score", model, packed, "--json") == 0
    assert answer(capsys)["r2"] == pytest.approx(r2, abs=1e-3)
    assert run("score", model, table) == 1
    assert "no target" in capsys.readouterr().err
    assert run("predict", table, table) == 1
    assert "is not a model" in capsys.readouterr().err


def test_predict_classes(tmp_path, table, capsys):
    """Names of classes, as a CSV file."""
    packed, model, out = tmp_path / "data.zq", tmp_path / "model.json", tmp_path / "out.csv"
    assert run("pack", table, "--target", "kind", "--columns", "a,b,c,d", "-o", packed) == 0
    assert run("fit", packed, "-o", model) == run("predict", model, table, "-o", out) == 0
    kind = pd.read_parquet(table)["kind"]
    accuracy = np.mean(pd.read_csv(out)["prediction"] == kind)
    assert accuracy > 0.9
    capsys.readouterr()
    assert run("score", model, table, "--target", "kind", "--json") == 0
    assert answer(capsys)["accuracy"] == pytest.approx(accuracy)


def test_probabilities(tmp_path, table, capsys):
    """Those of a logistic regression, to a table with a column of each class, and the log loss of what came."""
    packed, model, out = tmp_path / "data.zq", tmp_path / "model.json", tmp_path / "p.csv"
    assert run("pack", table, "--target", "kind", "--columns", "a,b,c,d", "-o", packed, "--seed", 0) == 0
    fit = ["fit", packed, "--loss", "log", "--C", 0.1, "--test-size", 0.3, "--seed", 0, "-o", model]
    capsys.readouterr()
    assert run(*fit, "--json") == 0
    told = answer(capsys)
    assert (told["solver"], told["rounding_loss"]) == ("newton", None)
    assert run("predict", model, table, "--probabilities", "-o", out) == 0
    found, rows = pd.read_csv(out), pd.read_parquet(table)
    assert found.columns.tolist() == ["high", "low"]
    train, test = train_test_split(np.arange(500), test_size=0.3, random_state=0, stratify=rows["kind"])
    own = ZipMLLogisticRegression(C=0.1, random_state=0).fit(PackedMatrix.load(packed)[np.sort(train)])
    np.testing.assert_allclose(found, own.predict_proba(rows[list("abcd")]), rtol=1e-5)
    capsys.readouterr()
    assert run("predict", model, table, "--probabilities", "--json") == 0
    printed = answer(capsys)
    assert printed["classes"] == ["high", "low"]
    np.testing.assert_allclose(printed["predictions"], found)
    own_test = PackedMatrix.load(packed)[np.sort(test)]
    expected = log_loss(own_test.target, own.predict_proba(own_test))
    assert told["test_log_loss"] == pytest.approx(expected, abs=1e-5)
    capsys.readouterr()
    assert run("score", model, table, "--target", "kind", "--json") == 0
    assert answer(capsys)["log_loss"] == pytest.approx(log_loss(rows["kind"], found), abs=1e-5)
    assert run("fit", packed, "-o", model, "--seed", 0) == 0
    assert run("predict", model, table, "--probabilities") == 1
    assert "--loss log" in capsys.readouterr().err
    assert run("pack", table, "--target", "price", "--columns", "a,b", "-o", packed) == 0
    assert run("fit", packed, "--loss", "log") == 1
    assert "--task classification" in capsys.readouterr().err


def test_labels_are_not_cut(tmp_path, table, capsys):
    """A label that begins like one that the model knows is another; several outputs have a name each in a CSV file."""
    packed, model = tmp_path / "data.zq", tmp_path / "model.json"
    assert run("pack", table, "--target", "kind", "--columns", "a,b,c,d", "-o", packed) == 0
    assert run("fit", packed, "-o", model) == 0
    frame = pd.read_parquet(table)
    frame["kind"] = frame["kind"].replace("high", "higher")
    frame.to_parquet(tmp_path / "other.parquet")
    out = tmp_path / "out.csv"
    assert run("predict", model, tmp_path / "other.parquet", "-o", out) == 0
    capsys.readouterr()
    assert run("score", model, tmp_path / "other.parquet", "--target", "kind", "--json") == 0
    right = np.mean(pd.read_csv(out)["prediction"] == frame["kind"])
    assert answer(capsys)["accuracy"] == pytest.approx(right, abs=1e-6)
    arguments = ["--target", "a", "--target", "price", "--columns", "b,c,d", "-o", packed]
    assert run("pack", table, *arguments) == run("fit", packed, "--seed", 0, "-o", model) == 0
    assert run("predict", model, packed, "-o", out) == 0
    loaded = PackedMatrix.load(packed)
    expected = ZipMLRegressor(random_state=0).fit(loaded).predict(pd.DataFrame(loaded, columns=list("bcd")))
    assert list(pd.read_csv(out)) == ["prediction_0", "prediction_1"]
    np.testing.assert_allclose(pd.read_csv(out), expected, rtol=1e-4, atol=1e-5)
    assert run("predict", model, packed, "-o", tmp_path / "out.txt") == 1
    assert "has to end in" in capsys.readouterr().err


def test_held_out_rows_and_weights(tmp_path, table, capsys):
    """A part of the rows, or another file, is scored; weights of zero leave rows out."""
    packed, weights = tmp_path / "data.zq", tmp_path / "weights.npy"
    assert run("pack", table, "--target", "price", "--columns", "a,b", "-o", packed, "--seed", 0) == 0
    capsys.readouterr()
    assert run("fit", packed, "--test-size", 0.2, "--seed", 0, "--json") == 0
    result = answer(capsys)
    assert (result["rows"], result["test_rows"]) == (400, 100)
    assert 0.3 < result["test_r2"] < 1
    assert run("fit", packed, "--test", packed, "--json") == 0
    result = answer(capsys)
    assert result["test_r2"] == result["train_r2"]
    model = tmp_path / "model.json"
    half = np.arange(500) % 2
    np.save(weights, half)
    assert run("fit", packed, "--weight", weights, "--seed", 0, "-o", model) == 0
    loaded = PackedMatrix.load(packed)
    expected = ZipMLRegressor(random_state=0).fit(loaded, sample_weight=half)
    np.testing.assert_array_equal(json.loads(model.read_text())["coef"], expected.coef_.astype(float))
    for arguments, message in (
        (["--test-size", 1.5], "between 0 and 1"),
        (["--test-size", 0.5, "--test", packed], "not both"),
        (["--weight", tmp_path / "none.npy"], "No such file"),
    ):
        assert run("fit", packed, *arguments) == 1
        assert message in capsys.readouterr().err


def test_arrays_with_their_target(tmp_path, capsys):
    """.npz files, and a target in a file of its own."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 3)), rng.standard_normal(60)
    path, packed = tmp_path / "data.npz", tmp_path / "data.zq"
    np.savez(path, X=X, y=y)
    assert run("pack", path, "-o", packed) == 0
    np.testing.assert_array_equal(PackedMatrix.load(packed).target, y)
    np.savez(path, rows=X)
    pd.DataFrame({"y": y}).to_csv(tmp_path / "y.csv", index=False)
    assert run("pack", path, "--y", tmp_path / "y.csv", "-o", packed) == 0
    np.testing.assert_allclose(PackedMatrix.load(packed).target, y)
    np.savez(path, X=X, groups=y)
    capsys.readouterr()
    assert run("pack", path, "-o", packed) == 1
    assert "'groups'" in capsys.readouterr().err


def test_messages_help(tmp_path, table, capsys):
    """The nearest name; the place for the output, before anything is read; the column of a bad value."""
    out = tmp_path / "out.zq"
    assert run("pack", table, "--target", "prise", "-o", out) == 1
    assert "did you mean 'price'?" in capsys.readouterr().err
    assert run("pack", table, "--columns", "a", "-o", tmp_path / "no" / "out.zq") == 1
    assert str(tmp_path / "no") in (error := capsys.readouterr().err) and ".tmp" not in error
    assert run("pack", table, "--columns", "a", "-o", tmp_path) == 1
    assert "is a folder" in capsys.readouterr().err
    for k, value in enumerate(("1.5", "x")):
        (tmp_path / f"part{k}.csv").write_text(f"a,b\n1,2\n3,{value}\n")
    assert run("pack", tmp_path / "part0.csv", tmp_path / "part1.csv", "-o", out) == 1
    error = capsys.readouterr().err
    assert "'b'" in error and "part1.csv" in error and len(error.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.parquet", "part0.csv", "part1.csv"]


def test_disk_that_is_too_small(tmp_path, table, capsys, monkeypatch):
    """Is told before packing."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    assert run("pack", table, "--columns", "a", "-o", tmp_path / "out.zq") == 1
    assert "the disk has 1,000" in capsys.readouterr().err
    assert not (tmp_path / "out.zq").exists()


@pytest.mark.parametrize(("columns", "sampling", "padded"), [(9, "auto", 32), (9, "compensated", 16), (8, "auto", 16)])
def test_room_that_rows_take(tmp_path, capsys, monkeypatch, columns, sampling, padded):
    """All columns of a tile count, the seeds of rows among them; of a file that grows the rows that it has, too."""
    rows, out = tmp_path / "rows.npy", tmp_path / "out.zq"
    np.save(rows, np.random.default_rng(0).standard_normal((64_000, columns), dtype=np.float32))
    assert run("pack", rows, "-o", out, "--bits", 2, "--sampling", sampling, "--json") == 0
    size = 64_000 * padded // 4
    assert size < answer(capsys)["bytes"] < size + 200_000
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=size))
    assert run("pack", rows, "-o", tmp_path / "other.zq", "--bits", 2, "--sampling", sampling) == 1
    assert "and the disk has" in capsys.readouterr().err
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=size + 200_000))
    assert run("pack", rows, "-o", tmp_path / "other.zq", "--bits", 2, "--sampling", sampling) == 0
    assert run("pack", rows, "-o", out, "--append") == 1
    assert "and the disk has" in capsys.readouterr().err


def test_several_sources(tmp_path, table, capsys):
    """Files, a pattern, a folder."""
    for k in range(3):
        (tmp_path / f"part{k}.parquet").write_bytes(table.read_bytes())
    table.unlink()
    packed = tmp_path / "data.zq"
    parts = [tmp_path / f"part{k}.parquet" for k in range(3)]
    for sources in (parts, [tmp_path / "part*.parquet"], [tmp_path], [*parts[:2], parts[2]]):
        assert run("pack", *sources, "--target", "price", "--columns", "a,b", "-o", packed, "--json") == 0
        assert answer(capsys)["rows"] == 1500
    for k in range(2):
        np.save(tmp_path / f"part{k}.npy", np.ones((10, 3)))
    assert run("pack", tmp_path / "*.npy", "--target", 2, "-o", packed, "--json") == 0
    assert answer(capsys)["rows"] == 20


def test_csv_without_header(tmp_path, capsys):
    """All rows are packed if it is said; without a word it is an error."""
    path, packed = tmp_path / "rows.csv", tmp_path / "rows.zq"
    np.savetxt(path, np.random.default_rng(0).standard_normal((50, 3)), delimiter=",")
    assert run("pack", path, "-o", packed) == 1
    assert "--no-header" in capsys.readouterr().err
    assert not packed.exists()
    assert run("pack", path, "-o", packed, "--no-header", "--target", 2, "--json") == 0
    result = answer(capsys)
    assert (result["rows"], result["columns"], result["feature_names"]) == (50, 2, None)
    assert run("pack", path, "-o", packed, "--no-header", "--target", "price") == 1
    assert "numbered from 0" in capsys.readouterr().err
    assert run("pack", path, "-o", packed, "--header", "--json") == 0
    assert answer(capsys)["rows"] == 49


def test_index_of_a_frame(tmp_path, capsys):
    """Is left out with a warning, or packed if it is named."""
    path, packed = tmp_path / "rows.csv", tmp_path / "rows.zq"
    pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}).to_csv(path)
    with pytest.warns(UserWarning, match="Column.* '' in .*rows.csv are left out"):
        assert run("pack", path, "-o", packed, "--json") == 0
    assert answer(capsys)["feature_names"] == ["a", "b"]
    assert run("pack", path, "--columns", ",b", "-o", packed, "--json") == 0
    assert answer(capsys)["feature_names"] == ["", "b"]


def test_bench(capsys):
    """A small size."""
    assert run("bench", "--rows", 2000, "--columns", 5, "--bits", 2, 8, "--seed", 0, "--json") == 0
    result = answer(capsys)
    assert result["bits_8"]["r2"] > 0.5
    assert result["bits_2"]["bytes"] < result["bits_8"]["bytes"]
    assert run("bench", "--rows", 2000, "--columns", 5, "--bits", 4) == 0
    assert "bits 4" in capsys.readouterr().out


def test_errors(tmp_path, table, capsys):
    """One line on stderr and exit code 1 for bad data; 2 for bad arguments; nothing written."""
    out = tmp_path / "out.zq"
    for arguments, message in (
        (["pack", tmp_path / "nothing.csv", "-o", out], "No such file"),
        (["pack", table, "-o", out], "'kind'"),
        (["pack", table, "-o", out, "--columns", "a", "--bits", 12], "sample_bits"),
        (["info", table], "not a packed matrix"),
        (["fit", table], "not a packed matrix"),
    ):
        assert run(*arguments) == 1
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1
    assert not out.exists()
    assert run("pack", table, "--columns", "a", "-o", out) == 0
    assert run("fit", out) == 1
    assert "no target" in capsys.readouterr().err
    with pytest.raises(SystemExit) as exit:
        run("pack")
    assert exit.value.code == 2


def test_as_a_module(tmp_path):
    """``python -m sklearn_zipml``."""
    command = [sys.executable, "-P", "-m", "sklearn_zipml", "info", str(tmp_path / "nothing.zq")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert "nothing.zq" in result.stderr

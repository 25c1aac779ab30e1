"""The command line, run in this process and once as a module."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from sklearn_zipml import PackedMatrix, ZipMLRegressor
from sklearn_zipml._cli import main
from sklearn_zipml._progress import progress
from sklearn_zipml._sources.source import open_source

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
    assert answer(capsys)["feature names"] == list("abcd")
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
    assert result["accuracy on the packed rows"] > 0.8
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
    assert (result["rows"], result["columns"], result["feature names"]) == (50, 2, None)
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
    assert answer(capsys)["feature names"] == ["a", "b"]
    assert run("pack", path, "--columns", ",b", "-o", packed, "--json") == 0
    assert answer(capsys)["feature names"] == ["", "b"]


def test_bench(capsys):
    """A small size."""
    assert run("bench", "--rows", 2000, "--columns", 5, "--bits", 2, 8, "--seed", 0, "--json") == 0
    result = answer(capsys)
    assert result["8 bits"]["R²"] > 0.5
    assert result["2 bits"]["bytes"] < result["8 bits"]["bytes"]
    assert run("bench", "--rows", 2000, "--columns", 5, "--bits", 4) == 0
    assert "4 bits" in capsys.readouterr().out


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


def test_progress(monkeypatch, capsys):
    """A bar counts the rows of every pass, where someone watches; it is left out without tqdm."""
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    source = open_source([np.ones((30, 2))])
    source.n_rows = 30
    with progress(source, True):
        for _ in range(2):
            list(source.chunks())
    assert "60/60" in capsys.readouterr().err.replace("60.0", "60")
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with progress(source, True):
        list(source.chunks())
    assert capsys.readouterr().err == ""

"""Options of `pack` about rows and values: weights that come along, outliers."""

import json

import numpy as np
import pandas as pd
import pytest

from sklearn_zipml import PackedMatrix, ZipMLRegressor
from sklearn_zipml._cli import main

pytest.importorskip("pyarrow")


@pytest.fixture
def table(tmp_path):
    """A CSV file with weights, and a column of heavy tails."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((500, 2)), columns=list("ab")).assign(t=rng.standard_t(2, 500))
    frame["price"] = frame.sum(axis=1) + rng.standard_normal(500)
    frame["count"] = rng.integers(0, 4, 500)
    path = tmp_path / "data.csv"
    frame.to_csv(path, index=False)
    return path


def told(capsys, *arguments):
    """What a command tells, as a dict."""
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_weights(tmp_path, table, capsys):
    """A column of them is no feature, and trains as weights that `fit` is given."""
    packed, model, other = tmp_path / "data.zq", tmp_path / "model.json", tmp_path / "other.json"
    pack = ["pack", table, "--target", "price", "-o", packed, "--seed", 0]
    result = told(capsys, *pack, "--weight", "count")
    assert (result["columns"], result["weights"]) == (3, "float64, shape (500,)")
    told(capsys, "fit", packed, "--seed", 0, "-o", model)
    loaded, count = PackedMatrix.load(packed), pd.read_csv(table)["count"]
    np.testing.assert_array_equal(loaded.sample_weight, count)
    given = ZipMLRegressor(random_state=0).fit(loaded.with_sample_weight(None), sample_weight=count)
    np.testing.assert_array_equal(json.loads(model.read_text())["coef"], given.coef_.astype(float))
    np.save(tmp_path / "ones.npy", np.ones(500))
    told(capsys, "fit", packed, "--weight", tmp_path / "ones.npy", "--seed", 0, "-o", other)
    none = ZipMLRegressor(random_state=0).fit(loaded.with_sample_weight(None))
    np.testing.assert_array_equal(json.loads(other.read_text())["coef"], none.coef_.astype(float))
    assert told(capsys, "fit", packed, "--test-size", 0.25, "--seed", 0)["rows"] == 375
    assert told(capsys, *pack, "--weight", "count", "--append")["weights"] == "float64, shape (1000,)"
    assert main([*map(str, pack), "--append", "--columns", "a,b,t"]) == 1
    assert "both have weights or none" in capsys.readouterr().err
    assert main([*map(str, pack), "--weight", "counts"]) == 1
    assert "did you mean 'count'?" in capsys.readouterr().err


def test_weights_by_number(tmp_path, table, capsys):
    """Of a file without names."""
    path = tmp_path / "rows.npy"
    np.save(path, pd.read_csv(table).to_numpy())
    result = told(capsys, "pack", path, "--target", 3, "--weight", 4, "-o", tmp_path / "data.zq")
    assert (result["columns"], result["weights"]) == (3, "float64, shape (500,)")


def test_outliers(tmp_path, table, capsys):
    """Are kept apart unless they are not to be; the file tells how many there are."""
    packed = tmp_path / "data.zq"
    pack = ["pack", table, "--columns", "a,b,t", "--bits", 2, "--seed", 0, "-o", packed]
    assert told(capsys, *pack)["outliers"] > 0
    assert told(capsys, *pack, "--outliers", "none")["outliers"] == told(capsys, "info", packed)["outliers"] == 0
    expected = PackedMatrix.from_chunks(
        pd.read_csv(table)[["a", "b", "t"]], sample_bits=2, outliers="none", random_state=0
    )
    assert PackedMatrix.load(packed) == expected
    with pytest.raises(SystemExit) as stop:
        main(["pack", str(table), "-o", str(packed), "--outliers", "some"])
    assert stop.value.code == 2
    assert "'auto', 'none'" in capsys.readouterr().err

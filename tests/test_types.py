"""What type checkers, and readers of `help`, see of the public names."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_zipml

USER = Path(__file__).with_name("typed_user.py")
MADE_BY_SCIKIT_LEARN = re.compile(r"set_(fit|partial_fit|score)_request")


def test_script_uses_everything():
    """Every public name, and every public method and property of each class."""
    dask = pytest.importorskip("sklearn_zipml.dask")
    tree = ast.parse(USER.read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    members = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for module in (sklearn_zipml, dask):
        assert set(module.__all__) <= used
        for one in (getattr(module, name) for name in module.__all__ if inspect.isclass(getattr(module, name))):
            own = [cls for cls in one.__mro__ if cls.__module__.startswith("sklearn_zipml")]
            public = {name for cls in own for name in vars(cls) if not name.startswith("_")}
            assert {name for name in public if not MADE_BY_SCIKIT_LEARN.fullmatch(name)} <= members, one


def test_type_checker_passes_users(tmp_path):
    """`mypy --strict` finds no fault in that script but one that is put in."""
    pytest.importorskip("mypy")
    text = USER.read_text() + '\nmade.requantize("two")\n'
    fault, *notes, summary = checked(text, tmp_path).splitlines()
    assert fault.startswith(f"script.py:{text.count(chr(10))}: error: Argument 1") and "incompatible type" in fault
    assert all(": note: " in note for note in notes)
    assert summary.startswith("Found 1 error in 1 file")


def checked(text, folder):
    """What `mypy --strict` says of a script."""
    script = folder / "script.py"
    script.write_text(text)
    root = Path(sklearn_zipml.__file__).parents[1]
    environment = {"MYPYPATH": str(root)} if "site-packages" not in root.parts else {}
    arguments = ["--strict", "--follow-imports=silent", "--cache-dir", str(folder), script.name]
    command = [sys.executable, "-P", "-m", "mypy", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    return result.stdout + result.stderr


@pytest.mark.parametrize("name", ["ZipMLRegressor.fit", "ZipMLLSSVC.fit", "DoubleSamplingQuantizer.fit_transform"])
def test_help_is_readable(name):
    """Names of types, not what they stand for."""
    estimator, method = name.split(".")
    signature = str(inspect.signature(getattr(getattr(sklearn_zipml, estimator), method)))
    assert len(signature) < 120
    assert "Samples" in signature

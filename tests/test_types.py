"""What type checkers, and readers of `help`, see of the public names."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_zipml

USER = """
import numpy as np
from numpy.typing import NDArray

from sklearn_zipml import (
    BitWidthCurveDisplay,
    ConvergenceDisplay,
    DoubleSamplingQuantizer,
    LevelsDisplay,
    PackedMatrix,
    RoundingWarning,
    ZipMLLSSVC,
    ZipMLLSSVCCV,
    ZipMLLogisticRegression,
    ZipMLRegressor,
    ZipMLRegressorCV,
    recommend_bits,
    register_onnx_converters,
    show_versions,
)

rng = np.random.default_rng(0)
X = rng.normal(size=(100, 3))
y = X.sum(axis=1)
labels = np.where(y > 0, "high", "low")
quantizer = DoubleSamplingQuantizer(sample_bits=8, random_state=0)
packed = quantizer.fit_transform(X)
model = ZipMLRegressor(4, random_state=0).fit(packed, y, sample_weight=np.ones(100))
predictions: NDArray[np.float64] = model.predict(X)
r2: float = model.score(X, y)
plain = model.to_sklearn()
classifier = ZipMLLSSVC(sample_bits=2, C=0.5, class_weight="balanced").fit(X.tolist(), labels)
names = classifier.predict(X)
decision = classifier.decision_function(X)
logistic = ZipMLLogisticRegression(8, C=0.1).fit(packed, labels, sample_weight=None)
probabilities = logistic.predict_proba(X)
regressors = ZipMLRegressorCV([1e-3, 1.0], [4, 8]).fit(X, y)
classifiers = ZipMLLSSVCCV([1e-3, 1.0], 8).fit(X, labels)
made = PackedMatrix.from_chunks(X, y, sample_bits=4, random_state=np.random.RandomState(0))
codes = PackedMatrix.from_codes(np.zeros((4, 2), dtype=np.uint8), bits=1)
made.save("rows.zq")
again: PackedMatrix = PackedMatrix.load("rows.zq", mmap=False)
n, d = again.shape
some = again[10:20]
fewer: PackedMatrix = again.requantize(2, random_state=1)
found = recommend_bits(X, y)
register_onnx_converters()
show_versions()
category: type[UserWarning] = RoundingWarning
BitWidthCurveDisplay.from_estimator(model, X, y)
ConvergenceDisplay.from_estimator(model)
LevelsDisplay.from_estimator(quantizer, X, column=1)
"""


def test_type_checker_passes_users(tmp_path):
    """`mypy --strict` finds no fault in a script that uses every public name."""
    pytest.importorskip("mypy")
    assert all(name in USER for name in sklearn_zipml.__all__)
    script = tmp_path / "script.py"
    script.write_text(USER)
    root = Path(sklearn_zipml.__file__).parents[1]
    environment = {"MYPYPATH": str(root)} if "site-packages" not in root.parts else {}
    arguments = ["--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path), str(script)]
    command = [sys.executable, "-P", "-m", "mypy", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", ["ZipMLRegressor.fit", "ZipMLLSSVC.fit", "DoubleSamplingQuantizer.fit_transform"])
def test_help_is_readable(name):
    """Names of types, not what they stand for."""
    estimator, method = name.split(".")
    signature = str(inspect.signature(getattr(getattr(sklearn_zipml, estimator), method)))
    assert len(signature) < 120
    assert "Samples" in signature

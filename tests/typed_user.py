"""A user's script of every public name and method. Nobody runs it: `test_types` has mypy read it."""

import numpy as np
from numpy.typing import NDArray

from sklearn_zipml import (
    BitWidthCurveDisplay,
    ConvergenceDisplay,
    DoubleSamplingQuantizer,
    LevelsDisplay,
    PackedMatrix,
    RoundingWarning,
    ZipMLLogisticRegression,
    ZipMLLSSVC,
    ZipMLLSSVCCV,
    ZipMLRegressor,
    ZipMLRegressorCV,
    recommend_bits,
    register_onnx_converters,
    show_versions,
)
from sklearn_zipml.dask import DaskPackedMatrix, DaskZipMLLogisticRegression, DaskZipMLLSSVC, DaskZipMLRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(100, 3))
y = X.sum(axis=1)
labels = np.where(y > 0, "high", "low")
weights = np.ones(100)

# Packing

quantizer = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit(X)
quantizer = quantizer.partial_fit(X[50:])
packed = quantizer.fit_transform(X)
same: PackedMatrix = quantizer.quantize(X)
plain_rows = quantizer.transform(X)
decoded = quantizer.inverse_transform(packed)
lowest: float = quantizer.levels_[0].min()

# The container

made = PackedMatrix.from_chunks(X, y, sample_weight=weights, sample_bits=4, random_state=np.random.RandomState(0))
table = PackedMatrix.from_chunks("rows.parquet", target="y", sample_weight="w", columns=["a"], progress=True)
codes = PackedMatrix.from_codes(np.zeros((4, 2), dtype=np.uint8), bits=1)
made.save("rows.zq")
again: PackedMatrix = PackedMatrix.load("rows.zq", mmap=False)
longer: PackedMatrix = PackedMatrix.append("rows.zq", X, y, sample_weight=weights, random_state=1)
n, d = again.shape
fewer: PackedMatrix = again.requantize(2, outliers="none", random_state=1)
other: PackedMatrix = again.with_target(y).with_sample_weight(None)
wide: PackedMatrix = PackedMatrix.hstack([again, again])
tall: PackedMatrix = PackedMatrix.vstack([again, again])
some, taken = again[10:20], again.take([1, 2], axis=0)
told = again.dtype, again.device, again.ndim, again.size, again.sample_bits, again.sampling, again.levels, again.n_draws
memory: int = again.nbytes
variance: NDArray[np.float64] = again.rounding_variance
beside = again.target, again.sample_weight, again.missing_count, again.feature_names

# Estimators

model = ZipMLRegressor(4, random_state=0).fit(packed, y, sample_weight=weights)
model = model.partial_fit(X, y)
predictions: NDArray[np.float64] = model.predict(X)
r2: float = model.score(X, y)
plain = model.to_sklearn()
classifier = ZipMLLSSVC(sample_bits=2, C=0.5, class_weight="balanced").fit(X.tolist(), labels)
classifier = classifier.partial_fit(packed, labels, classes=["high", "low"])
names = classifier.predict(X)
decision = classifier.decision_function(X)
logistic = ZipMLLogisticRegression(8, C=0.1).fit(packed, labels, sample_weight=None)
probabilities = logistic.predict_proba(X) + np.exp(logistic.predict_log_proba(packed))
regressors = ZipMLRegressorCV([1e-3, 1.0], [4, 8]).fit(X, y)
classifiers = ZipMLLSSVCCV([1e-3, 1.0], 8).fit(X, labels)
routing = regressors.get_metadata_routing()

# Widths and pictures

found = recommend_bits(X, y)
curve = BitWidthCurveDisplay.from_estimator(model, X, y, bits=[2, 4])
BitWidthCurveDisplay.from_cv_results(found.cv_results_, memory=False).plot()
ConvergenceDisplay.from_estimator(model).plot(x="bytes")
LevelsDisplay.from_estimator(quantizer, X, column=1).plot(bins=20)
LevelsDisplay.from_values(X[:, 0], 2, name="price")
register_onnx_converters()
show_versions()
category: type[UserWarning] = RoundingWarning

# Clusters; collections of Dask have no types

shards = DaskPackedMatrix.pack(X, y, sample_weight=weights, sample_bits=4, random_state=0)
shards.save("shards")
there: DaskPackedMatrix = DaskPackedMatrix.load("shards")
size: tuple[int, int] = there.sample_bits, there.npartitions
there.release()
spread = DaskZipMLRegressor(4, random_state=0).fit(X, y, sample_weight=weights)
far = spread.predict(X), spread.score(X, y), spread.to_local().coef_
spread_classes = DaskZipMLLSSVC(2, random_state=0).fit(X, labels)
here: ZipMLLSSVC = spread_classes.to_local()
margins = spread_classes.decision_function(X)
spread_chances = DaskZipMLLogisticRegression(4, C=0.1, random_state=0).fit(X, labels, sample_weight=weights)
chances = spread_chances.predict_proba(X), spread_chances.predict_log_proba(X)
near: ZipMLLogisticRegression = spread_chances.to_local()

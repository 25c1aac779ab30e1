"""
Probabilities against bits
==========================

:class:`~sklearn_zipml.ZipMLLogisticRegression` gives probabilities. How good are they when each value of the training
rows has only a few bits? Log loss and a calibration curve tell, both on rows that are not rounded.

Rounding errors pull the coefficients of a model towards zero, so that its probabilities are too cautious; the less so
the more bits there are. How large the errors are is known, and taken into account unless ``sampling="naive"`` is asked
for.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibrationDisplay
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from sklearn_zipml import ZipMLLogisticRegression

rng = np.random.default_rng(0)
X = rng.normal(size=(20_000, 30))
y = (X @ rng.normal(size=30) + rng.logistic(size=20_000) > 0).astype(int)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
C = 1000 / len(X_train)
plain = LogisticRegression(C=C).fit(X_train, y_train)


def fitted(bits, sampling):
    """A model of so many bits."""
    return ZipMLLogisticRegression(bits, C=C, sampling=sampling, random_state=0).fit(X_train, y_train)


widths = [2, 3, 4, 8]
models = {sampling: [fitted(bits, sampling) for bits in widths] for sampling in ("naive", "compensated")}

# %%
# Log loss above that of ``LogisticRegression`` on the rows as they are. At 4 bits next to nothing is left of it; at 2
# bits it is a small part of what naive rounding costs.
reference = log_loss(y_test, plain.predict_proba(X_test))
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for sampling, row in models.items():
    excess = [log_loss(y_test, model.predict_proba(X_test)) - reference for model in row]
    left.plot(widths, excess, "o-", label=sampling)
    print(sampling, [f"{bits} bits: {value:+.4f}" for bits, value in zip(widths, excess, strict=True)])
left.set(xlabel="bits", ylabel="log loss above full precision", title=f"Full precision: {reference:.3f}")
left.set_xticks(widths)
left.legend()

# %%
# Of the rows with a predicted probability of .8, about 80 % should belong to the class. At 2 bits that is so, while
# probabilities of naively rounded rows are nearer to one half than they should be: the curve is too steep.
for name, model in (
    ("full precision", plain),
    ("2 bits", models["compensated"][0]),
    ("2 bits, naive", models["naive"][0]),
):
    CalibrationDisplay.from_estimator(model, X_test, y_test, n_bins=10, name=name, ax=right)
right.set_title("Calibration")
plt.show()

"""
Weights and rare classes
========================

One row in twenty is positive. Least squares on labels of -1 and 1 then hardly ever says "positive".
``class_weight="balanced"`` gives both classes the same weight, as elsewhere in scikit-learn, and ``sample_weight``
works too. Weights are kept beside the packed samples, and never rounded to few bits.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import make_classification
from sklearn.metrics import ConfusionMatrixDisplay, balanced_accuracy_score
from sklearn.model_selection import train_test_split

from sklearn_zipml import RoundingWarning, ZipMLLSSVC

X, y = make_classification(
    n_samples=6000, n_features=30, n_informative=8, weights=[0.95], class_sep=0.8, flip_y=0.01, random_state=2
)
X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=0)
models = {
    "class_weight=None": ZipMLLSSVC(sample_bits=2, random_state=0),
    'class_weight="balanced"': ZipMLLSSVC(sample_bits=2, class_weight="balanced", random_state=0),
    '"balanced", float32': ZipMLLSSVC(sample_bits=None, class_weight="balanced", random_state=0),
}

# %%
# Two bits with weights find what float32 with weights finds. Decision values are less exact, of which fits warn; which
# side of zero they are on hardly changes.
warnings.simplefilter("ignore", RoundingWarning)
figure, axes = plt.subplots(ncols=3, figsize=(10, 4.2), layout="constrained")
for axis, (name, model) in zip(axes, models.items(), strict=True):
    predicted = model.fit(X, y).predict(X_test)
    score = balanced_accuracy_score(y_test, predicted)
    print(f"{name:>24}: balanced accuracy {score:.3f}")
    ConfusionMatrixDisplay.from_predictions(
        y_test, predicted, normalize="true", values_format=".2f", cmap="Blues", colorbar=False, ax=axis
    )
    axis.set_title(f"{name}\nbalanced accuracy {score:.2f}")
plt.show()

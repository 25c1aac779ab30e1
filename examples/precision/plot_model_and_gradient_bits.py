"""
A low-precision model and gradient
==================================

Not only the samples can be of few bits. ``model_bits`` and ``gradient_bits`` round what moves through a training step.
``solver="sgd"`` rounds the model and the gradient themselves and stops at a floor: the fewer bits, the higher.
``solver="saga"``, the default, rounds only the *distance* of the model from an anchor, and only the *change* of the
residuals. Both vanish as it converges, and their rounding noise with them: arithmetic of 4 bits, and even of 2, with
the answer of full precision.

The samples are float32 here, so that nothing else is rounded.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge

from sklearn_zipml import ConvergenceDisplay, ZipMLRegressor

X, y = load_diabetes(return_X_y=True)
X = X.astype(np.float32).astype(np.float64)  # the objective of the float32 samples is the one that is minimised
y = (y - y.mean()) / y.std()
alpha = 1e-4
exact = Ridge(alpha=len(y) * alpha, solver="svd").fit(X, y)
optimum = np.mean((exact.predict(X) - y) ** 2) / 2 + alpha / 2 * np.sum(exact.coef_**2)

# %%
# :class:`~sklearn_zipml.ConvergenceDisplay` draws how far the objective is above that optimum after every epoch. Solid
# lines are ``saga``, dotted ones ``sgd``, which halves its step when it gains less than the tolerance and ends when
# that no longer helps.
plt.style.use("tableau-colorblind10")
ax = plt.subplots(layout="constrained")[1]
for solver, tol, linestyle in (("saga", 0, "-"), ("sgd", 1e-5, ":")):
    for bits, color in ((8, "C0"), (4, "C1"), (2, "C5")):
        model = ZipMLRegressor(
            None, model_bits=bits, gradient_bits=bits, solver=solver, alpha=alpha, tol=tol, max_iter=60, random_state=0
        )
        ConvergenceDisplay.from_estimator(
            model.fit(X, y),
            name=f"{solver}, {bits} bits",
            ax=ax,
            optimum=optimum,
            line_kw={"color": color, "linestyle": linestyle, "marker": ""},
        )
ax.legend(ncols=2, frameon=False)
ax.set(title="Bits of model and gradient", ylabel="excess of the objective over its minimum")
plt.show()

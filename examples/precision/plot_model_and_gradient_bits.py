"""
Convergence with a low-precision model and gradient
===================================================

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

from sklearn_zipml import ZipMLRegressor

X, y = load_diabetes(return_X_y=True)
X = X.astype(np.float32).astype(np.float64)  # the objective of the float32 samples is the one that is minimised
y = (y - y.mean()) / y.std()
alpha = 1e-4
exact = Ridge(alpha=len(y) * alpha, solver="svd").fit(X, y)
optimum = np.mean((exact.predict(X) - y) ** 2) / 2 + alpha / 2 * np.sum(exact.coef_**2)


def excess(**settings):
    """How far the objective is above its minimum after every epoch, as a part of where it started."""
    model = ZipMLRegressor(None, alpha=alpha, max_iter=60, random_state=0, **settings).fit(X, y)
    losses = np.array(model.loss_curve_)
    return np.maximum((losses - optimum) / (losses[0] - optimum), 1e-11)


curves = {}
for bits in (None, 8, 4, 2):
    precision = {"model_bits": bits, "gradient_bits": bits}
    curves["saga", bits] = excess(solver="saga", tol=0, **precision)
    # sgd halves its step when it gains less than the tolerance, and ends when that no longer helps
    curves["sgd", bits] = excess(solver="sgd", tol=1e-5, **precision)

# %%
colors = {None: "black", 8: "C0", 4: "C1", 2: "C3"}
figure, axis = plt.subplots(layout="constrained")
for (solver, bits), curve in sorted(curves.items(), key=lambda item: item[0][0]):
    label = f"{solver}, " + ("16-bit fixed point" if bits is None else f"{bits} bits")
    axis.semilogy(curve, color=colors[bits], linestyle="-" if solver == "saga" else ":", label=label)
axis.set(xlabel="epoch", ylabel="excess objective, part of its start", title="Bits of model and gradient")
axis.legend(ncols=2)
plt.show()

"""
Why naive rounding is biased
============================

Stochastic rounding is right on average, :math:`E[q] = a`. Least squares is not linear in the samples, though: it needs
their second moments, and :math:`E[q^2] = a^2 + \\operatorname{Var}[q]`. A model trained on rounded samples sees columns
with more variance than they have, and shrinks its coefficients as if there were a ridge penalty that nobody asked for.

Here a single column is rounded to the 4 levels of 2 bits, and a line is fitted in three ways.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_zipml import BitWidthCurveDisplay, DoubleSamplingQuantizer, ZipMLRegressor

rng = np.random.default_rng(0)
x = rng.standard_normal((20_000, 1))
y = x[:, 0] + 0.3 * rng.standard_normal(len(x))
slopes = {
    sampling: ZipMLRegressor(2, sampling=sampling, alpha=0, random_state=0).fit(x, y).coef_[0]
    for sampling in ("naive", "double", "compensated")
}
rounded = np.asarray(DoubleSamplingQuantizer(2, sampling="naive", random_state=0).fit_transform(x))

# %%
# The true slope is 1. ``naive`` is far off, and more rows do not help. ``double`` draws every value twice and
# multiplies one draw with the other: the noise of the two is independent, and the bias is gone (ZipML,
# arXiv:1611.05402, section 2). ``compensated``, the default beyond 2 bits, draws once, knows the variance that
# was added, and subtracts it. It has twice the levels at the same width, so less noise is left. The default at 2 bits,
# ``dithered``, does so, too, and knows a part of every draw besides.
plt.style.use("tableau-colorblind10")
style = {"naive": ("C5", "-"), "double": ("C1", "--"), "compensated": ("C0", "-")}
figure, axis = plt.subplots(layout="constrained")
shown = slice(0, 1500)
jitter = rng.uniform(-0.1, 0.1, 1500)
axis.scatter(rounded[shown, 0] + jitter, y[shown], s=3, color="0.75", label="rounded samples, jittered")
ends = np.array([-4, 4])
axis.plot(ends, ends, color="black", linewidth=5, alpha=0.25, label="truth: 1.00")
for sampling, slope in slopes.items():
    color, linestyle = style[sampling]
    axis.plot(ends, slope * ends, color=color, linestyle=linestyle, linewidth=2, label=f"{sampling}: {slope:.2f}")
axis.set(xlabel="2-bit sample", ylabel="y", title="Slope of a line fitted to samples of 2 bits")
axis.legend(loc="upper left", frameon=False)
plt.show()

# %%
# The same on 50 columns, judged by R² on new rows. With many columns and 2 bits, where ``double`` has two levels a
# column, the stored noise is so strong that only a part of the bias can be subtracted safely: ``double`` is then no
# better than ``naive``. ``compensated`` is.
d = 50
X = rng.standard_normal((12_000, d))
target = X @ rng.standard_normal(d) / np.sqrt(d) + 0.1 * rng.standard_normal(len(X))
figure, axis = plt.subplots(layout="constrained")
for sampling, (color, linestyle) in style.items():
    BitWidthCurveDisplay.from_estimator(
        ZipMLRegressor(sampling=sampling, random_state=0),
        X,
        target,
        bits=[2, 3, 4, 5],
        cv=4,
        ax=axis,
        memory=False,
        std_display_style=None,
        line_kw={"color": color, "linestyle": linestyle, "label": sampling},
        full_kw={"label": "full precision" if sampling == "naive" else None},
    )
axis.set(title="R² of 50 columns, mean of 4 folds")
plt.show()

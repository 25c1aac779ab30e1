"""
Optimal against uniform levels
==============================

Evenly spaced levels waste bits on a skewed column: most of them lie where there are no values. With
``levels="optimal"``, the default, the levels of each column are placed so that stochastic rounding adds the least
variance (ZipML, arXiv:1611.05402, section 3). Nothing is clipped: at most 1 in 288 values lie beyond the first and the
last of them, and are kept apart as they are (the dots; none with ``outliers="none"``). Uniform levels reach from the
minimum to the maximum. :class:`~sklearn_zipml.LevelsDisplay` draws both kinds and says what rounding to them costs.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_zipml import BitWidthCurveDisplay, LevelsDisplay, ZipMLRegressor

rng = np.random.default_rng(0)
X = rng.lognormal(sigma=0.8, size=(8000, 20))
y = X @ rng.standard_normal(20) + 3 * rng.standard_normal(len(X))

display = LevelsDisplay.from_values(X[:, 0], 3, sampling="compensated", name="value", bins=150)
display.ax_.set_title("A skewed column and its 8 levels at 3 bits")
plt.show()

# %%
# Rounding noise costs score. How much depends on the bits: optimal levels need about one bit less. At 1 bit both
# kinds are two levels, and differ by what is kept apart.
ax = None
for levels, color in (("optimal", "C0"), ("uniform", "C1")):
    model = ZipMLRegressor(levels=levels, random_state=0)
    ax = BitWidthCurveDisplay.from_estimator(
        model,
        X,
        y,
        bits=[1, 2, 3, 4, 5],
        ax=ax,
        memory=False,
        std_display_style=None,
        line_kw={"color": color, "label": f"{levels} levels"},
        full_kw={"label": "full precision" if ax is None else None},
    ).ax_
ax.set(title="20 skewed columns, mean of 5 folds")
plt.show()

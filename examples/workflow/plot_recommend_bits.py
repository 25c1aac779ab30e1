"""
Let the data recommend the bits
===============================

:func:`~sklearn_zipml.recommend_bits` cross-validates an estimator at several widths and at full precision, and returns
the smallest width whose mean score is within a tolerance of it. Each fold packs its training rows once, at 8 bits, and
requantizes them for the others, so all of it costs a few short fits. Pipelines are taken whole, here one that makes
squares and products of the columns.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_diabetes
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from sklearn_zipml import BitWidthCurveDisplay, ZipMLRegressor, recommend_bits

X, y = load_diabetes(return_X_y=True)
model = make_pipeline(PolynomialFeatures(2, include_bias=False), ZipMLRegressor(alpha=1e-5, random_state=0))
tolerance = 0.005
recommendation = recommend_bits(X, y, estimator=model, tolerance=tolerance, cv=10)
print(f"recommended: sample_bits={recommendation.sample_bits}")

# %%
# The scores it is based on are kept, in the form of a search's ``cv_results_``, and can be drawn without another fit.
# The green stripe is the tolerance.
display = BitWidthCurveDisplay.from_cv_results(
    recommendation.cv_results_, score_name="R²", std_display_style=None, line_kw={"label": "mean of 10 folds"}
)
full = display.full_scores.mean()
display.ax_.axhspan(full - tolerance, full, color="C2", alpha=0.25, linewidth=0, label=f"within {tolerance}")
display.ax_.axvline(recommendation.sample_bits, color="C2", linewidth=1, linestyle=":")
display.ax_.legend(loc="upper center", ncols=3, frameon=False)
display.ax_.set_title(f"Diabetes, squares and products: {recommendation.sample_bits} bits are enough")
plt.show()

# %%
# 3 bits are stored in 4, so 4 would cost no more; where that matters, ask for ``bits=[1, 2, 4, 8]``. Take the answer:
model.set_params(zipmlregressor__sample_bits=recommendation.sample_bits).fit(X, y)

"""
A pipeline with categories, searched
====================================

Low precision goes last: encode and scale as always, then let the estimator round and pack what comes out. One-hot
columns have two values, so they are stored without loss, at whatever width the
other columns have.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_zipml import ZipMLRegressor

# %%
# Rents of flats, generated: two numbers with long tails, and two categories.
rng = np.random.default_rng(0)
n = 4000
flats = pd.DataFrame(
    {
        "area": rng.lognormal(4, 0.4, n),
        "distance": rng.exponential(5, n),
        "district": rng.choice(["north", "south", "east", "west", "centre"], n),
        "heating": rng.choice(["gas", "oil", "district"], n),
    }
)
rent = (
    9 * flats["area"]
    - 25 * flats["distance"]
    + flats["district"].map({"north": 0, "south": 80, "east": -60, "west": 20, "centre": 300})
    + flats["heating"].map({"gas": 0, "oil": -30, "district": 40})
    + rng.normal(0, 120, n)
)
encode = make_column_transformer(
    (StandardScaler(), ["area", "distance"]),
    (OneHotEncoder(sparse_output=False), ["district", "heating"]),
)
model = make_pipeline(encode, ZipMLRegressor(random_state=0))
model

# %%
# The pipeline is searched as any other. Here the encoder runs again for every candidate; ``memory=`` keeps its output.
search = GridSearchCV(
    model,
    {"zipmlregressor__sample_bits": [1, 2, 3, 4, 8], "zipmlregressor__levels": ["optimal", "uniform"]},
    cv=5,
).fit(flats, rent)
full = cross_val_score(make_pipeline(encode, Ridge(alpha=n * 1e-4)), flats, rent, cv=5).mean()
print(f"Ridge, float64: R² {full:.4f}")
print(f"best: {search.best_params_}, R² {search.best_score_:.4f}")

# %%
results = pd.DataFrame(search.cv_results_)
figure, axis = plt.subplots(layout="constrained")
axis.axhline(full, color="black", linestyle="--", linewidth=1, label="Ridge, float64")
for shift, (levels, group) in zip((-0.06, 0.06), results.groupby("param_zipmlregressor__levels"), strict=True):
    widths = group["param_zipmlregressor__sample_bits"].astype(int) + shift
    scores, deviations = group["mean_test_score"], group["std_test_score"]
    axis.errorbar(widths, scores, deviations, marker="o", capsize=3, label=f"{levels} levels")
axis.set(xlabel="sample_bits", xticks=[1, 2, 3, 4, 8], ylabel="R², mean ± std of 5 folds", title="Rents of flats")
axis.legend(loc="lower right", frameon=False)
plt.show()

"""Orthogonal factors of the rows keep what scales and weights over many decades leave small."""

import numpy as np
import pytest

from sklearn_zipml import ZipMLRegressor

ALPHA = 1e-12


@pytest.mark.parametrize("seed", [1, 2, 5, 6, 9])
def test_scales_and_weights_over_decades(seed):
    """The objective in float64 is that of LAPACK's least squares on columns of norm one, which loses none of them."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(40, 60)) * 10.0 ** rng.uniform(-8, 8, size=60)).astype(np.float32).astype(np.float64)
    weights, y = 10.0 ** rng.uniform(-14, 0, size=40), rng.normal(size=40)
    model = ZipMLRegressor(None, alpha=ALPHA, tol=1e-6, random_state=0).fit(X, y, weights)
    share = weights / weights.sum()
    rows = np.sqrt(share)[:, None] * (X - share @ X)
    rows = np.concatenate([rows, np.sqrt(ALPHA) * np.eye(60)])
    targets = np.concatenate([np.sqrt(share) * (y - share @ y), np.zeros(60)])
    norm = np.linalg.norm(rows, axis=0)
    exact = np.linalg.lstsq(rows / norm, targets)[0] / norm
    reached, lowest = (((rows @ coef - targets) ** 2).sum() for coef in (model.coef_, exact))
    # float32 rows about a median are not quite these: 1e-4 of the objective
    np.testing.assert_allclose(reached, lowest, rtol=1e-3)

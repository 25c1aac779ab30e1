"""Rows to quantize."""

import numpy as np


def data(n=300, d=5, seed=0):
    """Columns of different scales."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * 10.0 ** np.arange(-2, d - 2) + 3

"""Packed matrices of random rows."""

import numpy as np
from packing import pack

from sklearn_zipml._scheme import Scheme

SAMPLINGS = ["naive", "nearest", "double", "compensated", "dithered"]


ERROR_RATE = 1e-6


def make(n=150, d=18, bits=3, sampling="compensated", seed=0, levels="optimal"):
    """A container of Gaussian columns."""
    return pack(np.random.default_rng(seed).normal(size=(n, d)), Scheme.of(bits, sampling, levels), seed)

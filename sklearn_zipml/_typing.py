"""Types of the public signatures."""

from typing import Literal, TypeAlias

import numpy as np

Sampling: TypeAlias = Literal["compensated", "dithered", "double", "naive", "nearest"]
Levels: TypeAlias = Literal["optimal", "uniform"]
Outliers: TypeAlias = Literal["auto", "none"]
Schedule: TypeAlias = Literal["auto", "constant", "adaptive", "invscaling"]
RandomState: TypeAlias = int | np.random.RandomState | None

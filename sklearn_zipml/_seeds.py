"""Seeds of the counter-based generators, drawn from random_state."""

import numpy as np


def draw_seed(random_state):
    """A 64-bit seed from a numpy RandomState."""
    high, low = random_state.randint(0, 2**32, size=2, dtype=np.uint64)
    return int(high) << 32 | int(low)

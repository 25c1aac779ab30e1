"""Seeds of the counter-based generators, drawn from random_state, and the streams that each of them has."""

from enum import IntEnum

import numpy as np
from sklearn.utils import check_random_state

from ._kernels.row_order import mix
from ._parameters import check_parameters


class Stream(IntEnum):
    """What random numbers of a packing are for: each has a stream of its own under the seed of all."""

    ROW_ORDER = 1
    ROUNDING = 2
    LEVELS_SAMPLE = 3
    DUPLICATES_SAMPLE = 4

    def of(self, seed):
        """The 64-bit seed of the stream under that of a packing."""
        return mix(seed, int(self))


def draw_seed(random_state):
    """A 64-bit seed from a numpy RandomState."""
    high, low = random_state.randint(0, 2**32, size=2, dtype=np.uint64)
    return int(high) << 32 | int(low)


def seed_of(random_state, owner):
    """A 64-bit seed from the `random_state` that a function named `owner` is given."""
    check_parameters({"random_state": ["random_state"]}, {"random_state": random_state}, owner)
    return draw_seed(check_random_state(random_state))

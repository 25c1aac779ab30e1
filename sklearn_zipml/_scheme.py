"""How values become codes: bits, sampling, levels and draws, with all that follows from them."""

from dataclasses import dataclass, replace
from numbers import Integral

from sklearn.utils._param_validation import Interval, StrOptions

from ._kernels import encoder as encoder_kernels
from ._kernels import tiles as tile_kernels
from ._parameters import check_parameters

SAMPLINGS = ("auto", "compensated", "dithered", "double", "naive", "nearest")
DITHERED_BITS = (2, 3)  # which have known dither
# What containers can have, too: columns of 2 bits, put side by side, whose rows have several dithers, see `Scheme`.
STORED_SAMPLINGS = (*SAMPLINGS[1:], "joined")
PLACEMENTS = ("optimal", "uniform")  # of levels
OUTLIERS = ("auto", "none")  # how values are treated that are far from the others of their column
MAX_STEPS = 255  # of a column's grid

# What scikit-learn checks of the parameters of these names.
CONSTRAINTS = {
    "sample_bits": [Interval(Integral, 1, 8, closed="both")],
    "sampling": [StrOptions(set(SAMPLINGS))],
    "levels": [StrOptions(set(PLACEMENTS))],
    "n_draws": [Interval(Integral, 2, 255, closed="both")],
    "outliers": [StrOptions(set(OUTLIERS))],
}
NARROWED = [StrOptions({"auto", "compensated", "dithered"})]  # "sampling" of codes that are made fewer
MISSING = {"missing": [StrOptions({"error", "mean"})]}
_ROUNDING = {
    "naive": encoder_kernels.NAIVE,
    "nearest": encoder_kernels.NEAREST,
    "double": encoder_kernels.DOUBLE,
    "compensated": encoder_kernels.COMPENSATED,
    "dithered": encoder_kernels.COMPENSATED,
    "joined": encoder_kernels.COMPENSATED,
}


@dataclass(frozen=True)
class Scheme:
    """How values become codes.

    Attributes
    ----------
    sample_bits : int from 1 to 8
    sampling : one of STORED_SAMPLINGS
    levels : one of PLACEMENTS
    n_draws : int, independent draws that a code holds: more than one with "double" only
    outliers : one of OUTLIERS; matters to where levels are placed, and is not kept with the codes
    """

    sample_bits: int
    sampling: str
    levels: str
    n_draws: int
    outliers: str = "none"

    @classmethod
    def of(cls, sample_bits, sampling, levels, n_draws=2, outliers="none"):
        """That of the parameters of an estimator: its n_draws is of "double" only, "auto" is what suits the width."""
        scheme = cls(sample_bits, sampling, levels, draws_of(sampling, n_draws), outliers)
        return replace(scheme, sampling=scheme._suited) if sampling == "auto" else scheme

    @classmethod
    def checked(cls, owner, **parameters):
        """The same of parameters that may come from anywhere, for a function named `owner`."""
        check_parameters(CONSTRAINTS, parameters, owner)
        check_draws(parameters["sample_bits"], parameters["sampling"], parameters["n_draws"])
        return cls.of(**parameters)

    def with_bits(self, sample_bits):
        """The same at another width, at which nothing is joined."""
        sampling = "dithered" if self.is_joined else self.sampling
        return replace(self, sample_bits=sample_bits, sampling=sampling)

    def narrowed(self, sample_bits, sampling="auto"):
        """That of these codes made fewer, as an estimator of some sampling makes them.

        Only of one draw whose errors are compensated, where there is known dither, there is a choice.
        """
        narrow = self.with_bits(sample_bits)
        has_choice = self.may_keep_outliers and narrow._may_have_dither
        if not has_choice or sampling not in ("auto", "compensated", "dithered"):
            return narrow
        return replace(narrow, sampling=narrow._suited if sampling == "auto" else sampling)

    @property
    def _suited(self):
        """What "auto" is: known dither where there is any."""
        return "dithered" if self._may_have_dither else "compensated"

    @property
    def gains_dither(self):
        """Whether codes of other bits have known dither where these are what "auto" makes."""
        return self.may_keep_outliers and not self.has_uniform_levels

    @property
    def _may_have_dither(self):
        """Whether "dithered" is more than "compensated": at 2 and 3 bits with levels placed by the values."""
        return self.sample_bits in DITHERED_BITS and not self.has_uniform_levels

    # Codes

    @property
    def width(self):
        """Bits a code takes in a tile: 3 bits live in 4, and 5 to 7 in 8; joined ones have 2 bits and 2 of dither."""
        if self.is_joined:
            return 4
        return next(width for width in (1, 2, 4, 8) if self.sample_bits <= width)

    @property
    def is_dithered(self):
        """Whether rows have seeds, by which the decoder knows a part of the rounding: of codes of 2 bits."""
        return self.has_dither and self.sample_bits == 2

    @property
    def stores_dither(self):
        """Whether it knows a part by the lowest bit of codes: of 3 bits, which live in 4."""
        return self.has_dither and self.sample_bits == 3

    @property
    def has_dither(self):
        """One or the other: "dithered" is "compensated" where there is no known dither."""
        return self.sampling == "dithered" and self._may_have_dither

    @property
    def n_dithers(self):
        """How many a value can have."""
        return 4 if self.is_dithered else 2 if self.stores_dither else 1

    @property
    def meant_sampling(self):
        """What `sampling` comes to at this width, see `has_dither`."""
        return "compensated" if self.sampling == "dithered" and not self.has_dither else self.sampling

    @property
    def is_joined(self):
        """Whether columns stand side by side whose rows have other dithers, which are stored."""
        return self.sampling == "joined"

    @property
    def knows_dithers(self):
        """Whether codes have any of these."""
        return self.has_dither or self.is_joined

    @property
    def undithered(self):
        """The same without known dither."""
        return replace(self, sampling="compensated") if self.knows_dithers else self

    @property
    def format(self):
        """What the kernels call the width: bits of a code, or codes of 2 bits with known dither."""
        return tile_kernels.DITHERED if self.is_dithered else self.width

    @property
    def table_codes(self):
        """Bytes that a decode table has for each column, one a code: none of a byte, which is a grid position itself.

        With known dither more, see `_storage.dither`.
        """
        return tile_kernels.DITHER_TABLE if self.is_dithered else self.noise_codes

    @property
    def noise_codes(self):
        """Codes that errors are told apart by: none of a byte."""
        return 0 if self.width == 8 else 1 << self.width

    @property
    def n_levels(self):
        """Levels that a column without dither has: a code is a level and how many of the draws went up from it."""
        return (2 ** (4 if self.is_joined else self.sample_bits) - 1) // self.n_draws + 1

    @property
    def n_positions(self):
        """Grid positions that the codes of a column stand for at most, but where they have seeds."""
        return 1 << self.width if self.stores_dither else self.n_levels

    @property
    def stores_levels(self):
        """Whether levels are kept beside the codes: where neither the table nor the number of bits tells them."""
        return 4 < self.sample_bits < 8

    @property
    def stride(self):
        """Grid steps that levels are apart, or a multiple of it: so the mean of the draws is a grid position."""
        return self.n_draws

    @property
    def max_steps(self):
        """Strides that a column's grid has at most."""
        return MAX_STEPS // self.stride

    @property
    def has_uniform_levels(self):
        """Whether levels are evenly spaced, rather than placed by the values."""
        return self.levels == "uniform"

    # Outliers

    @property
    def may_keep_outliers(self):
        """Whether codes can have values beside them that no level reaches: of one draw, whose errors are known."""
        return self.sampling in ("compensated", "dithered", "joined")

    @property
    def keeps_outliers(self):
        """Whether levels may leave them out. The paper's settings, evenly spaced levels among them, do not."""
        return self.outliers == "auto" and self.may_keep_outliers and not self.has_uniform_levels

    # Rounding

    @property
    def rounding(self):
        """What the encoder calls the sampling."""
        return _ROUNDING[self.sampling]

    @property
    def rounds_to_nearest(self):
        """Whether a value goes to the nearest level, and not to one or the other at random."""
        return self.sampling == "nearest"

    @property
    def is_compensated(self):
        """Whether account is kept of rounding errors, which estimators subtract."""
        return self.may_keep_outliers or self.sampling == "double"

    @property
    def has_noise_by_code(self):
        """Whether the squared error of every code is kept, for the statistics of subsets and weights."""
        return self.is_compensated and self.width < 8

    @property
    def fewest_bits(self):
        """Bits that hold its draws."""
        return self.n_draws.bit_length()


def check_missing(owner, missing):
    """Refuse what is no way to treat missing values, for a function named `owner`."""
    check_parameters(MISSING, {"missing": missing}, owner)


def draws_of(sampling, n_draws=2):
    """Draws that a code holds: `n_draws` of double sampling, one of any other."""
    return n_draws if sampling == "double" else 1


def check_draws(sample_bits, sampling, n_draws):
    """Refuse a width that cannot hold the draws, and draws of a sampling that has one; sample_bits may be None."""
    if sampling != "double" and n_draws != 2:
        raise ValueError(
            f"n_draws={n_draws} is of sampling='double', got sampling={sampling!r}, which draws once; set "
            "sampling='double', or leave n_draws=2."
        )
    if sampling == "double" and n_draws > 2 and sample_bits is not None and n_draws >= 1 << sample_bits:
        raise ValueError(
            f"sample_bits={sample_bits} cannot hold n_draws={n_draws} draws, of which 0 to {n_draws} go up: use "
            f"sample_bits={n_draws.bit_length()} or more, or n_draws={2**sample_bits - 1} or less."
        )
    if sampling == "double" and sample_bits == 1:
        raise ValueError(
            "sample_bits=1 cannot hold the two draws of sampling='double'; use sample_bits=2 or more, "
            "or sampling='compensated'."
        )

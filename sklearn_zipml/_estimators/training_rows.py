"""Training rows as tiles: X packed, X requantized, or X as floats."""

from .._packed_matrix import PackedMatrix
from .._quantization.encoder import pack
from .._quantization.float_rows import FloatRows
from .._scheme import Scheme
from .._storage.packed_rows import rows_of

DEFAULT_BITS = 4


def training_rows(estimator, X, rows, bits, seed):
    """The rows of X that an estimator is trained on, by its parameters of packing.

    Parameters
    ----------
    estimator : estimator
    X : validated array or PackedMatrix
    rows : int array or None, those of X that count
    bits : int or None, to store them in
    seed : int, 64 bits

    Returns
    -------
    PackedRows or FloatRows
    """
    if isinstance(X, PackedMatrix):
        return _requantized(estimator, rows_of(X if rows is None else X[rows]), bits, seed)
    names = getattr(estimator, "feature_names_in_", None)
    if bits is None:
        return FloatRows(X, seed, rows, names, estimator.n_jobs)
    scheme = Scheme.of(bits, estimator.sampling, estimator.levels, estimator.n_draws, estimator.outliers)
    return pack(X, scheme, seed, rows=rows, column_names=names, n_jobs=estimator.n_jobs)


def tell_samples(estimator, matrix):
    """Have the attributes that tell of the samples that training reads, PackedRows or FloatRows."""
    estimator.sample_bits_, estimator.sample_nbytes_ = matrix.sample_bits, matrix.nbytes
    estimator.sampling_ = sampling_of(estimator, matrix)


def sampling_of(estimator, matrix):
    """How the samples that steps are made with were rounded; None if they were not."""
    scheme = getattr(matrix, "scheme", None)
    if scheme is not None and getattr(estimator, "resample", None) is not None:
        scheme = scheme.narrowed(estimator.sample_bits, fresh_sampling(estimator))
    return None if scheme is None else scheme.meant_sampling


def fresh_sampling(estimator):
    """How samples are drawn that are new in every epoch: without known dither, which has a grid of its own.

    To draw it takes longer than the epoch, and errors average out anyway.
    """
    return "compensated" if estimator.sampling in ("auto", "dithered") else estimator.sampling


def _requantized(estimator, packed, bits, seed):
    if bits is None:
        raise ValueError(
            f"sample_bits=None trains on float32 samples, but X is a PackedMatrix of {packed.sample_bits} bits. "
            f"Set sample_bits={packed.sample_bits}, or pass numpy.asarray(X)."
        )
    # the default takes a narrower container as it is: a quantizer in front has chosen the width
    if bits > packed.sample_bits and bits != DEFAULT_BITS:
        raise ValueError(
            f"sample_bits={bits} but X is a PackedMatrix of {packed.sample_bits} bits, which is narrower. "
            f"Set sample_bits={packed.sample_bits} or less, or quantize X to {bits} bits."
        )
    if bits >= packed.sample_bits:
        return packed
    from .._quantization.requantize import requantize

    return requantize(packed, bits, seed, estimator.n_jobs, estimator.outliers, estimator.sampling)

"""Estimators whose coefficients were found elsewhere, with all that they have after a fit of their own."""

import numpy as np

from .training_rows import DEFAULT_BITS


def handed_over(estimator, attributes, n_rows, total_weight):
    """An unfitted estimator with fitted attributes, and what its exports need of the training rows."""
    vars(estimator).update(attributes)
    estimator._n_rows, estimator._total_weight = n_rows, total_weight
    return estimator


def refuse_narrow(sample_bits, packed_bits):
    """Refuse packed rows of another width than is asked for, unless the default is."""
    if sample_bits not in (packed_bits, DEFAULT_BITS):
        raise ValueError(
            f"sample_bits={sample_bits} but X is packed in {packed_bits} bits. Set sample_bits={packed_bits}, or pack "
            "the rows again."
        )


def in_shape(coef, intercept, is_single, dtype):
    """Coefficients (outputs, features) and intercepts as attributes, for a target of one dimension or two."""
    if is_single:
        return {"coef_": coef[0].astype(dtype), "intercept_": np.dtype(dtype).type(intercept[0])}
    return {"coef_": coef.astype(dtype), "intercept_": intercept.astype(dtype)}

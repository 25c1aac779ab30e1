"""The packed rows of a part with their targets and weights, in memory and as files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._packed_matrix import PackedMatrix, matrix_of
from .._storage.file_writer import save
from .._storage.packed_rows import PackedRows, rows_of

WEIGHTS = ".weights.npy"


@dataclass(frozen=True, eq=False)
class Shard:
    """Packed rows of a part.

    Attributes
    ----------
    rows : PackedRows, with their target
    weights : float64 (rows,), all positive, or None
    """

    rows: PackedRows
    weights: np.ndarray | None

    def __len__(self):
        return len(self.rows)

    @property
    def nbytes(self):
        """Memory of it all."""
        return self.rows.nbytes + (0 if self.weights is None else self.weights.nbytes)

    def __sizeof__(self):
        return self.nbytes

    def __reduce__(self):
        return _restored, (matrix_of(self.rows), self.weights)

    def save(self, path):
        """Write it to a file, weights beside it."""
        path = Path(path)
        if self.weights is not None:
            with open(path.with_name(path.name + WEIGHTS), "wb") as file:
                np.save(file, self.weights)
        save(self.rows, path)


def _restored(matrix, weights):
    return Shard(rows_of(matrix), weights)


def load_shard(path):
    """The Shard of a file, mapped into memory.

    Raises
    ------
    ValueError
        For a file without a target, or weights that do not go with it.
    """
    path = Path(path)
    rows = rows_of(PackedMatrix.load(path))
    if rows.target is None:
        raise ValueError(f"{path.name} has no target, and is not a shard that was saved.")
    if rows.sample_weight is not None:
        raise ValueError(f"{path.name} has weights inside, and is not a shard that was saved.")
    beside = path.with_name(path.name + WEIGHTS)
    weights = np.load(beside, allow_pickle=False) if beside.exists() else None
    if weights is not None and (weights.shape != (len(rows),) or not np.all((weights > 0) & np.isfinite(weights))):
        raise ValueError(f"{beside.name} does not hold a positive weight for each of the {len(rows)} rows.")
    return Shard(rows, weights)

"""Packed shards that stay on the workers, and files of them."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .._estimators.regressor import ZipMLRegressor
from .._packed_matrix import readable_bytes
from .._scheme import Scheme
from .._seeds import seed_of
from .._shards.targets import joined_reports
from . import _tasks
from ._engine import Engine
from ._packing import Packing, pack

if TYPE_CHECKING:
    from .._typing import Levels, Outliers, RandomState, Sampling

INDEX = "shards.json"
_NOT_MADE = "A DaskPackedMatrix is made by DaskPackedMatrix.pack or DaskPackedMatrix.load."


class DaskPackedMatrix:
    """Packed rows, with their targets and weights, on the workers of a Dask cluster.

    Made by :meth:`pack` out of Dask collections, or by :meth:`load` from files. Each partition is a shard, packed where
    it lies, on levels that all of them share: the codes are those of packing all rows at once. Estimators train on it
    as often as they are asked to, and nothing but the shards is kept there: at 4 bits a tenth of what it takes to
    persist float32, or less. Second moments are kept where the object is, up to 64 MB (2000 columns): another
    ``alpha`` then asks nothing of the workers.

    A shard that is lost with its worker is packed again by Dask, from what the collection was made of. The memory on
    the workers is given back when the object is gone, or by :meth:`release`.

    Attributes
    ----------
    shape : tuple (n_samples, n_features)
    sample_bits : int
    npartitions : int
    nbytes : int, memory of all shards

    Examples
    --------
    >>> import numpy as np
    >>> from dask import array as da
    >>> from distributed import Client
    >>> from sklearn_zipml.dask import DaskPackedMatrix
    >>> client = Client(processes=False, dashboard_address=":0")
    >>> X = da.from_array(np.random.default_rng(0).normal(size=(1000, 8)), chunks=(500, 8))
    >>> packed = DaskPackedMatrix.pack(X, X.sum(axis=1), sample_bits=2, random_state=0)
    >>> packed.shape, len(packed)
    ((1000, 8), 1000)
    >>> packed.release()
    >>> client.close()
    """

    def __init__(self) -> None:
        raise TypeError(_NOT_MADE)

    @classmethod
    def _of(cls, engine, shards):
        """That of futures, which are its own from now on."""
        made = cls.__new__(cls)
        described = engine.results([engine.submit(_tasks.describe, shard) for shard in shards])
        common = described[0][0]
        for other, *_ in described[1:]:
            if other.grid.digest != common.grid.digest or other.feature_names != common.feature_names:
                raise ValueError("The shards were not packed together: their levels or names of columns differ.")
        made._client, made._shards, made._common = engine.client, engine.keep(shards), common
        made.shape = sum(n for _, n, _, _ in described), len(common.grid.step)
        made.nbytes = sum(size for _, _, size, _ in described)
        made._has_weights, made._known = any(weighted for *_, weighted in described), {}
        return made

    @property
    def sample_bits(self) -> int:
        """Bits stored for each value.

        Examples
        --------
        >>> import numpy as np
        >>> from dask import array as da
        >>> from distributed import Client
        >>> from sklearn_zipml.dask import DaskPackedMatrix
        >>> client = Client(processes=False, dashboard_address=":0")
        >>> X = da.from_array(np.random.default_rng(0).normal(size=(1000, 8)), chunks=(500, 8))
        >>> packed = DaskPackedMatrix.pack(X, X.sum(axis=1), sample_bits=2, random_state=0)
        >>> packed.sample_bits
        2
        >>> packed.release()
        >>> client.close()
        """
        return self._common.scheme.sample_bits

    @property
    def npartitions(self) -> int:
        """Number of shards; partitions without rows have none.

        Examples
        --------
        >>> import numpy as np
        >>> from dask import array as da
        >>> from distributed import Client
        >>> from sklearn_zipml.dask import DaskPackedMatrix
        >>> client = Client(processes=False, dashboard_address=":0")
        >>> X = da.from_array(np.random.default_rng(0).normal(size=(1000, 8)), chunks=(500, 8))
        >>> packed = DaskPackedMatrix.pack(X, X.sum(axis=1), sample_bits=2, random_state=0)
        >>> packed.npartitions
        2
        >>> packed.release()
        >>> client.close()
        """
        return len(self._shards)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return (
            f"DaskPackedMatrix(shape={self.shape}, sample_bits={self.sample_bits}, npartitions={self.npartitions}, "
            f"{readable_bytes(self.nbytes)})"
        )

    def __reduce__(self):
        raise TypeError("A DaskPackedMatrix lies on the workers and is not pickled: save it, and load it there.")

    @classmethod
    def pack(
        cls,
        X: object,
        y: object,
        sample_weight: object = None,
        *,
        client: object = None,
        sample_bits: int = 4,
        sampling: Sampling = "auto",
        levels: Levels = "optimal",
        n_draws: int = 2,
        outliers: Outliers = "auto",
        quantizer: object = None,
        random_state: RandomState = None,
    ) -> Self:
        """Pack partitions where they lie.

        Parameters
        ----------
        X : Dask array or data frame of shape (n_samples, n_features), or list of delayed chunks
            Rows, in any partitions; some of them may be empty. They are read twice, for the levels and for the codes,
            and not kept in between; once if a quantizer brings the levels.
        y : Dask array, data frame or series, list of delayed chunks, or array
            Targets or class labels, in the same partitions. Values of targets that are NaN are missing, see
            ``missing_target`` of :class:`DaskZipMLRegressor`.
        sample_weight : the same, or None, default=None
            Row weights; rows of weight 0 are left out.
        client : distributed.Client or None, default=None
            None for the current one.
        sample_bits : int from 1 to 8, default=4
            Bits stored for each value.
        sampling : {"auto", "compensated", "dithered", "double", "naive", "nearest"}, default="auto"
            See :class:`.DoubleSamplingQuantizer`.
        levels : {"optimal", "uniform"}, default="optimal"
            See :class:`.DoubleSamplingQuantizer`.
        n_draws : int from 2 to 255, default=2
            See :class:`.DoubleSamplingQuantizer`.
        outliers : {"auto", "none"}, default="auto"
            Whether levels may leave out a few values, which are kept apart, see :class:`.DoubleSamplingQuantizer`.
        quantizer : DoubleSamplingQuantizer or None, default=None
            Fitted: its levels, settings and draws are taken.
        random_state : int, RandomState instance or None, default=None
            Decides the rounding.

        Returns
        -------
        DaskPackedMatrix

        Examples
        --------
        >>> import numpy as np
        >>> from dask import array as da
        >>> from distributed import Client
        >>> from sklearn_zipml.dask import DaskPackedMatrix, DaskZipMLRegressor
        >>> client = Client(processes=False, dashboard_address=":0")
        >>> X = da.from_array(np.random.default_rng(0).normal(size=(10_000, 8)), chunks=(1000, 8))
        >>> packed = DaskPackedMatrix.pack(X, X.sum(axis=1), random_state=0)
        >>> packed.shape, packed.npartitions
        ((10000, 8), 10)
        >>> DaskZipMLRegressor().fit(packed).coef_.round(1)
        array([1., 1., 1., 1., 1., 1., 1., 1.])
        >>> packed.release()
        >>> client.close()
        """
        kind = {"sample_bits": sample_bits, "sampling": sampling, "levels": levels, "n_draws": n_draws}
        kind["outliers"] = outliers
        scheme = Scheme.checked("DaskPackedMatrix.pack", **kind)
        seed = seed_of(random_state, "DaskPackedMatrix.pack")
        with Engine(client) as engine:
            checks = _tasks.Checks(ZipMLRegressor(missing_target="drop"), None)
            packed = pack(engine, X, y, sample_weight, Packing(checks, scheme, seed, quantizer))
            return cls._of(engine, packed.shards)

    def save(self, folder: str | PathLike) -> None:
        """Write each shard to a file of its own, in a folder that all workers and this process see.

        Parameters
        ----------
        folder : str or path-like
            Made if it is not there; it must be empty otherwise. Nothing stays in it if something fails.

        Returns
        -------
        None

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from dask import array as da
        >>> from distributed import Client
        >>> from sklearn_zipml.dask import DaskPackedMatrix
        >>> client = Client(processes=False, dashboard_address=":0")
        >>> X = da.from_array(np.random.default_rng(0).normal(size=(1000, 8)), chunks=(500, 8))
        >>> packed = DaskPackedMatrix.pack(X, X.sum(axis=1), random_state=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     packed.save(folder)
        ...     print(sorted(path.name for path in Path(folder).iterdir()))
        ['part-00000.zq', 'part-00001.zq', 'shards.json']
        >>> packed.release()
        >>> client.close()
        """
        folder = Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ValueError(f"folder={str(folder)!r} is not empty: give one that is.")
        names = [f"part-{number:05}.zq" for number in range(self.npartitions)]
        try:
            with Engine(self._client) as engine:
                pairs = zip(self._shards, names, strict=True)
                rows = engine.results([engine.submit(_tasks.save, shard, str(folder / name)) for shard, name in pairs])
            temporary = folder / f".{INDEX}"
            temporary.write_text(json.dumps({"format": 1, "parts": names, "rows": rows}), encoding="utf-8")
            temporary.replace(folder / INDEX)
        except BaseException:
            for path in folder.iterdir():
                path.unlink()
            raise

    @classmethod
    def load(cls, folder: str | PathLike, *, client: object = None) -> Self:
        """Open a folder that ``save`` wrote; the workers map its files into memory.

        Parameters
        ----------
        folder : str or path-like
            A folder that all workers and this process see.
        client : distributed.Client or None, default=None
            None for the current one.

        Returns
        -------
        DaskPackedMatrix

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from dask import array as da
        >>> from distributed import Client
        >>> from sklearn_zipml.dask import DaskPackedMatrix
        >>> client = Client(processes=False, dashboard_address=":0")
        >>> X = da.from_array(np.random.default_rng(0).normal(size=(1000, 8)), chunks=(250, 8))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     DaskPackedMatrix.pack(X, X.sum(axis=1), random_state=0).save(folder)
        ...     packed = DaskPackedMatrix.load(folder)
        ...     print(packed.shape, packed.npartitions)
        ...     packed.release()
        (1000, 8) 4
        >>> client.close()
        """
        folder = Path(folder).absolute()
        index = folder / INDEX
        if not index.is_file():
            raise ValueError(f"folder={str(folder)!r} has no {INDEX}: it is not one that save has finished.")
        found = json.loads(index.read_text(encoding="utf-8"))
        with Engine(client) as engine:
            shards = [engine.submit(_tasks.load, str(folder / Path(name).name)) for name in found["parts"]]
            made = cls._of(engine, shards)
        if len(made) != sum(found["rows"]):
            raise ValueError(f"folder={str(folder)!r} holds {len(made)} rows where {INDEX} tells {sum(found['rows'])}.")
        return made

    def release(self) -> None:
        """Give the memory on the workers back; the object must not be used again.

        Returns
        -------
        None

        Examples
        --------
        >>> import numpy as np
        >>> from dask import array as da
        >>> from distributed import Client
        >>> from sklearn_zipml.dask import DaskPackedMatrix
        >>> client = Client(processes=False, dashboard_address=":0")
        >>> X = da.from_array(np.random.default_rng(0).normal(size=(1000, 8)), chunks=(500, 8))
        >>> packed = DaskPackedMatrix.pack(X, X.sum(axis=1), random_state=0)
        >>> packed.release()
        >>> packed.npartitions
        0
        >>> client.close()
        """
        for future in self._shards:
            future.release()
        self._shards, self._known = [], {}

    def __zipml_shards__(self):
        """Client, futures of the shards, Description, whether they have weights, and what fits found out for others."""
        if not self._shards:
            raise ValueError("This DaskPackedMatrix has been released: pack or load it again.")
        return self._client, self._shards, self._common, self._has_weights, self._known


def target_report(engine, shards, of_labels, known):
    """The TargetReport of shards that were packed before; known: see `DaskPackedMatrix.__zipml_shards__`."""
    key = "labels" if of_labels else "targets"
    if key not in known:
        futures = [engine.submit(_tasks.label_report, shard, of_labels) for shard in shards]
        known[key] = joined_reports(engine.results(futures))
    return known[key]

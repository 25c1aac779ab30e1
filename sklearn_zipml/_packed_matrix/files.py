"""Packed matrices out of sources of rows and files, and into files."""

from __future__ import annotations

from os import PathLike
from typing import Self

from numpy.typing import ArrayLike

from .._scheme import Scheme, check_missing
from .._typing import Levels, Outliers, RandomState, Sampling


class PackedFiles:
    """The part of PackedMatrix that makes it out of sources and files."""

    __slots__ = ()

    @classmethod
    def from_chunks(
        cls,
        source: object,
        y: ArrayLike | None = None,
        *,
        target: object = None,
        sample_weight: ArrayLike | str | None = None,
        columns: list | None = None,
        header: bool | None = None,
        delimiter: str | None = None,
        transform: object = None,
        sample_bits: int = 4,
        sampling: Sampling = "auto",
        levels: Levels = "optimal",
        n_draws: int = 2,
        outliers: Outliers = "auto",
        missing: str = "error",
        quantizer: object = None,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        progress: bool = False,
    ) -> Self:
        """Pack data that does not fit in memory, a chunk of rows at a time.

        A source that can be read twice is read twice: for the range of the columns and a sample of rows that places
        the levels, and for packing. The result is then the one of packing all rows at once, to the bit, however they
        are divided into chunks. The rows are shuffled across all chunks, in packed form, so data sorted by target
        train as any other. Memory is that of the packed rows and two chunks.

        A source that can be read once only (a generator, a reader of pandas) gets the levels of its first rows, 8192
        or fewer, unless a fitted quantizer brings them; a warning names columns that leave the range of those levels.

        Parameters
        ----------
        source : array, data frame, path, Arrow data, iterable or callable
            - A two-dimensional array or memory map; an array of HDF5 or Zarr, or anything with ``shape``, ``dtype``
              and slices of rows.
            - The path of a ``.npy`` file, of a ``.npz`` file (its array ``X`` and, if there is one, target ``y``), or
              (with pyarrow) of a ``.parquet``, ``.feather``, ``.arrow`` or ``.csv`` file; a folder of them, a pattern
              (``"2024-*.parquet"``), or a list of paths. The files have to have the same columns; folders named like
              ``year=2024`` add a column. Columns of strings and times are refused, and the index of a data frame is
              left out with a warning.
            - The path of a ``.bed`` file of PLINK, with ``.bim`` and ``.fam`` beside it (with bed-reader): samples are
              rows, columns count a variant's first allele. ``sample_bits=2`` holds them without loss. Phenotypes of the
              ``.fam`` file are the target, where there are some and ``y`` brings no others.
            - A pyarrow table, dataset or Parquet file; a pandas or polars data frame, a polars LazyFrame.
            - A PackedMatrix, whose rounding errors add to the new ones, and whose target, weights and names come along;
              to round it to fewer bits, ``requantize`` is the shorter way.
            - An iterable of chunks, each one of the above, a pair of it and its target, or these and its weights; or a
              callable that returns such an iterable and can be called twice.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), path or None, default=None
            Target that is not in the source, to take along; or the path of a ``.npy`` file or a table of it. For
            genotypes a text file with a column ``IID`` is matched to the samples by their ids.
        target : str, int, list or None, default=None
            Column or columns of the source that are the target, by name or, in arrays, by index.
        sample_weight : array-like of shape (n_samples,), str, int or None, default=None
            Weights of the rows to take along, or the column of the source that holds them, by name or, in arrays, by
            index. ``fit`` takes them where it is given none. Levels and rounding do not depend on them.
        columns : list or None, default=None
            Columns of the source to pack, by name or index; None for all but target and weights.
        header : bool or None, default=None
            Whether CSV files begin with names. Columns without names are numbered from 0. None takes the first line for
            names, and is an error where it looks like a row of numbers.
        delimiter : str or None, default=None
            Between the values of CSV files; None for a comma.
        transform : fitted transformer or None, default=None
            Makes features of the columns to pack, a chunk at a time: imputing, encoding, scaling, in a Pipeline or a
            ColumnTransformer that was fitted on some of the rows. Tables are given to it as pandas frames, and may then
            hold strings and missing values. Its output has to be dense.
        sample_bits : int from 1 to 8, default=4
            Bits stored for each value.
        sampling : {"auto", "compensated", "dithered", "double", "naive", "nearest"}, default="auto"
            See :class:`DoubleSamplingQuantizer`.
        levels : {"optimal", "uniform"}, default="optimal"
            See :class:`DoubleSamplingQuantizer`.
        n_draws : int from 2 to 255, default=2
            Draws of ``sampling="double"``, see :class:`DoubleSamplingQuantizer`.
        outliers : {"auto", "none"}, default="auto"
            Whether levels may leave out a few values, which are kept apart, see :class:`.DoubleSamplingQuantizer`.
        missing : {"error", "mean"}, default="error"
            What NaN is, and nulls of tables and missing genotypes, see :class:`DoubleSamplingQuantizer`.
        quantizer : DoubleSamplingQuantizer or None, default=None
            Fitted, by ``fit`` or ``partial_fit``: pack on its levels with its settings, in one pass.
        random_state : int, RandomState instance or None, default=None
            Decides the rounding and the order of rows inside.
        n_jobs : int or None, default=None
            Threads that pack, see :class:`DoubleSamplingQuantizer`. The result does not depend on it.
        progress : bool, default=False
            Whether to show a progress bar, on stderr; needs tqdm (``pip install "sklearn_zipml[cli]"``).

        Returns
        -------
        PackedMatrix
            With ``target``, ``sample_weight`` and ``feature_names``, where the source has them.

        Raises
        ------
        ValueError
            For values that are not finite, columns that are not numbers, chunks that disagree, or no rows.
        TypeError
            For a source that cannot be read in chunks.
        ImportError
            If the source needs pyarrow or bed-reader, or the progress bar tqdm, and it is missing.

        Warns
        -----
        UserWarning
            When values of a source read once lie outside the range of the levels; when the index of a data frame is
            left out; when names of columns are missing where the quantizer has some.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import PackedMatrix
        >>> def chunks():
        ...     rng = np.random.default_rng(0)
        ...     for _ in range(10):
        ...         X = rng.normal(size=(500, 8))
        ...         yield X, X.sum(axis=1)
        >>> packed = PackedMatrix.from_chunks(chunks, sample_bits=2, random_state=0)
        >>> packed.shape, packed.target.shape
        ((5000, 8), (5000,))
        """
        from .._parameters import check_parameters
        from .._quantization.streaming import pack_chunks
        from .._sources.progress import progress_bar
        from .._sources.source import open_source

        check_parameters({"progress": ["boolean"]}, {"progress": progress}, "PackedMatrix.from_chunks")
        check_missing("PackedMatrix.from_chunks", missing)
        of_quantizer = getattr(quantizer, "missing", None)
        fills = missing == "mean" or (isinstance(of_quantizer, str) and of_quantizer == "mean")
        reading = {"target": target, "columns": columns, "header": header, "delimiter": delimiter}
        source = open_source(source, y, sample_weight, **reading, transform=transform, missing=fills)
        scheme = None
        if quantizer is None:
            kind = {"sample_bits": sample_bits, "sampling": sampling, "levels": levels, "n_draws": n_draws}
            kind["outliers"] = outliers
            scheme = Scheme.checked("PackedMatrix.from_chunks", **kind)
        passes = 2 if quantizer is None and source.repeatable else 1
        with progress_bar(source, progress, passes, needed=True):
            return cls._of(pack_chunks(source, scheme, quantizer, random_state, n_jobs, missing == "mean"))

    def save(self, path: str | PathLike) -> None:
        """Write the matrix to a file, with its target, weights and names; the format is told in doc/file_format.rst.

        The file is written beside its place under another name, flushed to the disk and renamed: whatever happens,
        there is the old file or the new one. A process that is killed leaves ``.<name>-*.tmp`` behind.

        Parameters
        ----------
        path : str or path-like
            Replaced if it exists.

        Returns
        -------
        None

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If there are no rows or no columns.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name, "rows.zq")
        >>> packed.save(path)
        >>> path.stat().st_size > packed.nbytes
        True
        >>> folder.cleanup()
        """
        from .._storage.file_writer import save

        save(self._rows, path)

    @classmethod
    def load(cls, path: str | PathLike, *, mmap: bool = True, verify: bool | None = None) -> Self:
        """Open a file that ``save`` wrote. Nothing in it is executed.

        Parameters
        ----------
        path : str or path-like
            The file.
        mmap : bool, default=True
            Map the file into memory instead of reading it: training starts at once, and the system drops pages when it
            needs the memory. The file may be replaced (``save``, ``append``) meanwhile, but not cut or written over:
            whatever reads the rows of a file that was cut ends in a ValueError, or, if it was reading them at that
            moment, in the death of the process by SIGBUS.
        verify : bool or None, default=None
            Whether the checksums of tiles, target and weights are checked, which reads them whole; None for where they
            are read anyway (``mmap=False``). Header, metadata, levels and statistics are always checked.

        Returns
        -------
        PackedMatrix

        Raises
        ------
        ValueError
            For a file that is damaged, cut off, of another kind, or of a newer format.
        OSError
            If it cannot be read.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name, "rows.zq")
        >>> packed.save(path)
        >>> mapped = PackedMatrix.load(path)
        >>> bool(np.array_equal(mapped, packed))
        True
        >>> del mapped  # Windows deletes no file that is mapped
        >>> folder.cleanup()
        """
        from .._parameters import check_parameters
        from .._storage.file_reader import load

        given = {"mmap": mmap, "verify": verify}
        check_parameters({"mmap": ["boolean"], "verify": ["boolean", None]}, given, "PackedMatrix.load")
        return cls._of(load(path, mmap, verify))

    @classmethod
    def append(
        cls,
        path: str | PathLike,
        source: object,
        y: ArrayLike | None = None,
        *,
        target: object = None,
        sample_weight: ArrayLike | str | None = None,
        columns: list | None = None,
        header: bool | None = None,
        delimiter: str | None = None,
        random_state: RandomState = None,
        n_jobs: int | None = None,
    ) -> Self:
        """Add rows to a file, on the levels it has.

        The new rows are shuffled among themselves and come behind the old ones. The file is written anew and renamed,
        as by ``save``: a crash leaves the old file, and processes that have it mapped keep what they have. Memory is
        that of the new rows.

        Parameters
        ----------
        path : str or path-like
            A file that ``save`` wrote.
        source : array, data frame, path, Arrow data, iterable or callable
            The new rows, as for :meth:`from_chunks`; read once.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), or None, default=None
            Their target, if it is not in the source; they must have one if the file has.
        target : str, int, list or None, default=None
            Column or columns of the source that are the target.
        sample_weight : array-like of shape (n_samples,), str, int or None, default=None
            Their weights, or the column that holds them; they must have some if the file has, and none if it has none.
        columns : list or None, default=None
            Columns of the source to pack; None for all but target and weights.
        header : bool or None, default=None
            Whether CSV files begin with names, as for :meth:`from_chunks`.
        delimiter : str or None, default=None
            Between the values of CSV files, as for :meth:`from_chunks`.
        random_state : int, RandomState instance or None, default=None
            Decides the rounding and the order of the new rows.
        n_jobs : int or None, default=None
            Threads that pack.

        Returns
        -------
        PackedMatrix
            The file, memory-mapped.

        Raises
        ------
        ValueError
            If the file cannot be read, or the rows do not go with it: their columns, names, target or weights.

        Warns
        -----
        UserWarning
            When values lie outside the range of the file's levels, and went to its ends; when either the file or the
            source has no names of columns.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name, "rows.zq")
        >>> packed.save(path)
        >>> longer = PackedMatrix.append(path, X[:500], random_state=1)
        >>> longer.shape
        (1500, 16)
        >>> del longer  # Windows deletes no file that is mapped
        >>> folder.cleanup()
        """
        from .._quantization.append import append
        from .._seeds import seed_of
        from .._sources.source import open_source

        reading = {"target": target, "columns": columns, "header": header, "delimiter": delimiter}
        source = open_source(source, y, sample_weight, **reading)
        append(path, source, seed_of(random_state, "PackedMatrix.append"), n_jobs)
        return cls.load(path)

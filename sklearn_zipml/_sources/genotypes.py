"""Genotypes in PLINK's .bed files: 2 bits each, all samples of a variant one after another.

bed-reader reads what the files beside it tell of samples and variants. The genotypes themselves are read here: it makes
a byte or a float of each, which takes several times as long as to pack them.
"""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

HEADER = b"\x6c\x1b\x01"  # a .bed file whose genotypes stand by variants
BY_SAMPLES = b"\x6c\x1b\x00"
LOW_BITS = np.uint64(0x5555555555555555)
COPIES = np.array([2.0, np.nan, 1.0, 0.0])  # of the first allele, by fields of the file
NO_PHENOTYPE = ("-9", "NA", "nan", "")


class BedFile:
    """A .bed file with the .bim and .fam files beside it: samples are rows, and columns count a variant's first allele.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    n_rows : int, samples
    labels : list of str, of all variants
    variants : int array, those that are columns
    samples : array of str, ids of the individuals
    target : array or None, phenotypes of the .fam file, or others that are given in their place
    weights : array or None, of samples, that are given
    """

    def __init__(self, path):
        self.path = Path(path)
        _check_header(self.path)
        open_bed = _bed_reader(path)
        with open_bed(self.path, num_threads=1) as file:
            self.n_rows, n_variants = file.iid_count, file.sid_count
            self.samples = file.iid
            self.labels = _labels(file)
            self.target, self.weights = _phenotypes(file.pheno), None
        self.variants = np.arange(n_variants)
        self._bytes = -(-self.n_rows // 4)  # of a variant
        expected = len(HEADER) + n_variants * self._bytes
        if not self.n_rows or not n_variants or self.path.stat().st_size != expected:
            raise ValueError(
                f"{path} has {self.path.stat().st_size} bytes, and {self.n_rows} samples in the .fam file and "
                f"{n_variants} variants in the .bim file take {expected}: the files do not belong together, or one is "
                "cut off."
            )

    @property
    def n_columns(self):
        """Number of variants that are columns."""
        return len(self.variants)

    @property
    def names(self):
        """Labels of the columns."""
        return tuple(self.labels[j] for j in self.variants)

    def fields(self, first, last):
        """Fields of all samples of columns first..last-1, uint8 (columns, bytes); those behind the last are zero."""
        which = self.variants[first:last]
        out = np.empty((len(which), self._bytes), dtype=np.uint8)
        starts = [0, *(np.flatnonzero(np.diff(which) != 1) + 1), len(which)]
        with self.path.open("rb", buffering=0) as file:
            for start, stop in pairwise(starts):
                file.seek(len(HEADER) + int(which[start]) * self._bytes)
                _read_into(file, out[start:stop], self.path)
        out[:, -1] &= np.uint8(255 >> 2 * (-self.n_rows % 4))
        return out

    def counts(self, fields):
        """How many samples of every column have 0, 1 and 2 copies, and are missing: int64 (columns, 4)."""
        words = np.pad(fields, ((0, 0), (0, -self._bytes % 8))) if self._bytes % 8 else fields
        words = words.view(np.uint64)
        low, both = words & LOW_BITS, words & (words >> np.uint64(1)) & LOW_BITS
        of_low, of_both, of_any = (np.bitwise_count(bits).sum(axis=1, dtype=np.int64) for bits in (low, both, words))
        one, missing = of_any - of_low - of_both, of_low - of_both
        return np.stack([of_both, one, self.n_rows - of_both - one - missing, missing], axis=1)

    def read(self, rows_at_once):
        """Copies of the first allele of some samples at a time, float64 (rows, columns), NaN where they are missing."""
        stored = np.memmap(self.path, mode="r", offset=len(HEADER), shape=(len(self.labels), self._bytes))
        whole = len(self.variants) == len(self.labels)
        step = max(4, rows_at_once - rows_at_once % 4)
        for start in range(0, self.n_rows, step):
            stop = min(self.n_rows, start + step)
            some = stored[:, start // 4 : -(-stop // 4)]
            fields = np.ascontiguousarray((some if whole else some[self.variants]).T)
            shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
            copies = COPIES[fields[:, None] >> shifts & np.uint8(3)]  # (bytes, 4, columns)
            yield copies.reshape(-1, self.n_columns)[: stop - start]


def _read_into(file, out, path):
    """Fill an array from a file."""
    view = memoryview(out).cast("B")
    while len(view):
        count = file.readinto(view[: 1 << 30])
        if not count:
            raise OSError(f"{path} ended while it was read: something else has cut it off.")
        view = view[count:]


def _check_header(path):
    with path.open("rb") as file:
        header = file.read(len(HEADER))
    if header == BY_SAMPLES:
        raise ValueError(f"{path} has its genotypes by samples; write it by variants with `plink --make-bed`.")
    if header != HEADER:
        raise ValueError(f"{path} is no .bed file of PLINK's genotypes: its first bytes are {header!r}.")
    for suffix in (".bim", ".fam"):
        if not path.with_suffix(suffix).is_file():
            raise FileNotFoundError(f"{path} needs the file {path.with_suffix(suffix).name} beside it.")


def _bed_reader(path):
    try:
        from bed_reader import open_bed
    except ImportError as error:
        raise ImportError(f"Reading {path} needs bed-reader: pip install 'sklearn_zipml[genetics]'") from error
    return open_bed


def _labels(file):
    """Names of variants; of those that share one, such as ".", chromosome, position and alleles, or numbers too."""
    labels = [str(name) for name in file.sid]
    places = zip(file.chromosome, file.bp_position, file.allele_1, file.allele_2, strict=True)
    labels = _told_apart(labels, (f"{place[0]}:{place[1]}:{place[2]}:{place[3]}" for place in places))
    return _told_apart(labels, (f"{label}:{j}" for j, label in enumerate(labels)))


def _told_apart(labels, longer):
    times = Counter(labels)
    if len(times) == len(labels) and "." not in times:
        return labels
    return [own if times[label] > 1 or label == "." else label for label, own in zip(labels, longer, strict=True)]


def _phenotypes(texts):
    """Phenotypes of a .fam file, float64 with NaN, or text; None where none is known.

    Of cases and controls, 2 and 1, 0 is missing too, as PLINK has it.
    """
    texts = np.array([str(text) for text in texts])
    missing = np.isin(texts, NO_PHENOTYPE)
    if set(texts[~missing]) <= {"0", "1", "2"}:
        missing |= texts == "0"
    if missing.all():
        return None
    try:
        return np.where(missing, "nan", texts).astype(np.float64)
    except ValueError:
        return np.where(missing, "", texts)

"""Phenotypes in a text file whose rows tell by their ids which samples they are of, in PLINK's way."""

from pathlib import Path

import numpy as np

from .files import format_of

ID, FAMILY = "IID", "FID"
NOT_KNOWN = {"-9", "NA", "nan", "NaN", ""}


def has_ids(path):
    """Whether a file is a text file whose first line names a column of ids."""
    path = Path(path)
    if not path.is_file() or format_of(path) not in (None, "csv") or path.suffix in (".gz", ".bz2"):
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return ID in _split(file.readline())


def phenotypes_of(path, samples):
    """Phenotypes of samples, float64 (samples,), or (samples, phenotypes) of several, NaN where they are not known.

    Parameters
    ----------
    path : path of a table with the column IID, perhaps FID, and phenotypes; spaces, tabs or commas in between
    samples : sequence of str, ids

    Raises
    ------
    ValueError
        For an id that occurs twice, values that are not numbers, or a table of none of the samples.
    """
    with Path(path).open(encoding="utf-8-sig") as file:
        names, *rows = [_split(line) for line in file if line.strip()]
    place = {name: j for j, name in enumerate(names) if name not in (ID, FAMILY)}
    of_sample = {}
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise ValueError(f"{path} has {len(row)} values in line {number}, and {len(names)} names.")
        if of_sample.setdefault(row[names.index(ID)], row) is not row:
            raise ValueError(f"{path} has more than one row of sample {row[names.index(ID)]!r}.")
    out = np.full((len(samples), len(place)), np.nan)
    for i, sample in enumerate(samples):
        row = of_sample.get(sample)
        if row is not None:
            out[i] = [_number(row[j], name, path) for name, j in place.items()]
    if not any(sample in of_sample for sample in samples) or not place:
        raise ValueError(
            f"{path} has no phenotype of any sample: its ids are such as {list(of_sample)[:3]}, and those of samples "
            f"{list(map(str, samples[:3]))}."
        )
    return out[:, 0] if len(place) == 1 else out


def _split(line):
    parts = line.strip().removeprefix("#")
    return [part.strip() for part in (parts.split(",") if "," in parts else parts.split())]


def _number(text, name, path):
    try:
        return np.nan if text in NOT_KNOWN else float(text)
    except ValueError:
        raise ValueError(f"{path} has {text!r} in column {name!r}: phenotypes are numbers, or NA.") from None

"""Whether the first line of a CSV file has names of columns: where it may be a row, it is not taken for names."""

import csv
import io
import re

NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
# So many numbers in order from 0 or 1 are names that a data frame gave, and not the row that happens to hold them.
COUNTED = 4


def first_line(path, delimiter=","):
    """The values in the first line of a file, which may be compressed."""
    from pyarrow import input_stream

    with input_stream(str(path)) as stream:
        lines = csv.reader(
            io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline=""), delimiter=delimiter
        )
        line = next(lines, None)
    if line is None:
        raise ValueError(f"{path} is empty.")
    return line


def has_header(line, path, header=None):
    """Whether a line has names; an error where it looks like a row of numbers and nobody has said what it is.

    Parameters
    ----------
    line : list of str
    path : path or str, for the message
    header : bool or None, what has been said
    """
    if header is not None:
        return header
    if looks_like_numbers(line):
        shown = ", ".join(line[:5]) + (", ..." if len(line) > 5 else "")
        raise ValueError(
            f"The first line of {path} looks like a row of numbers, not like names of columns: {shown}. If it is one, "
            "say header=False (--no-header on the command line); columns are numbered from 0 then. If these are names, "
            "say header=True (--header)."
        )
    return True


def looks_like_numbers(names):
    """Whether names of columns may be values instead."""
    numbers = [name for name in names if NUMBER.fullmatch(name)]
    if len(numbers) * 2 < len(names) or not numbers:
        return any("." in number for number in numbers)
    counted = [[str(start + k) for k in range(len(numbers))] for start in (0, 1)]
    # an index in front has no name, and a row has no empty value there, unless one is missing
    return numbers not in counted or (len(numbers) < COUNTED and names[0] != "")

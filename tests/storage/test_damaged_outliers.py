"""Entries of outliers that no packing makes are refused, before any pass reads them."""

import numpy as np
import pytest
from outlying import packed_rows

from sklearn_zipml import PackedMatrix
from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._storage.outliers import Outliers


def damaged():
    """Names and parts that no packing makes, out of those of a matrix with outliers."""
    parts = packed_rows(300, 600, 2).parts()
    starts, entries = parts["outlier_starts"], parts["outlier_entries"]
    block = int(np.argmax(np.diff(starts.astype(np.int64)) > 2))
    first = int(starts[block])

    def entry_of(place, difference=1):
        changed = entries.copy()
        changed[starts[1] - 1] = place << 16 | difference  # the last of the first block, after all others
        return {"outlier_entries": changed}

    swapped, twice, zero = entries.copy(), entries.copy(), entries.copy()
    swapped[[first, first + 1]] = entries[[first + 1, first]]
    twice[first + 1] = entries[first] ^ 1
    zero[first] = entries[first] & np.uint32(0xFFFF0000)
    back, far = starts.copy(), starts.copy()
    back[1], far[-1] = starts[2] + 1, len(entries) + 5
    yield "unsorted", {"outlier_entries": swapped}
    yield "one place twice", {"outlier_entries": twice}
    yield "no difference", {"outlier_entries": zero}
    yield "a place of 16 bits", entry_of(1 << 15)
    yield "starts that go back", {"outlier_starts": back}
    yield "starts beyond the end", {"outlier_starts": far}
    yield "a start before the beginning", {"outlier_starts": np.concatenate([[7], starts[1:]]).astype(np.uint32)}
    yield "too few starts", {"outlier_starts": starts[:-1].copy()}
    yield "no starts", {"outlier_starts": None}
    yield "no entries", {"outlier_entries": None}
    yield "entries of none", {"outlier_entries": entries[:0].copy()}
    yield "another dtype", {"outlier_entries": entries.astype(np.int32)}
    yield "two dimensions", {"outlier_entries": entries[None].copy()}
    yield "another sampling", {"sampling": "naive", "noise": np.zeros((600, 0), np.float16)}


@pytest.mark.parametrize(("name", "change"), list(damaged()), ids=[name for name, _ in damaged()])
def test_damaged_entries_are_refused(name, change):
    parts = packed_rows(300, 600, 2).parts()
    assert PackedMatrix(**parts) == matrix_of(packed_rows(300, 600, 2))
    with pytest.raises(ValueError, match=r"outlier|sampling"):
        PackedMatrix(**parts | change)


@pytest.mark.parametrize("where", ["row", "column"])
def test_entries_of_rows_and_columns_that_there_are_not(where):
    """Of the last tile and block, where rows and columns are filled up."""
    packed = packed_rows(300, 600, 2)
    slots, columns, differences = packed.samples.outliers.decoded()
    slots, columns = np.append(slots, 319 if where == "row" else 0), np.append(columns, 0 if where == "row" else 607)
    wrong = Outliers.of_entries(slots, columns, np.append(differences, np.int16(1)), 5, 600)
    parts = packed.parts() | {"outlier_starts": wrong.starts, "outlier_entries": wrong.entries}
    with pytest.raises(ValueError, match="rows or columns"):
        PackedMatrix(**parts)

from libc.stdint cimport int64_t, uint64_t

ctypedef fused real:
    float
    double


cdef inline int require(bint holds, str what) except -1:
    """Raise ValueError where sizes do not go together; the C code trusts them."""
    if not holds:
        raise ValueError(what)
    return 0


cdef inline int require_rows(const int64_t[::1] rows, size_t n) except -1:
    """Raise ValueError for row numbers outside 0..n-1."""
    cdef Py_ssize_t k
    cdef bint inside = True
    with nogil:
        for k in range(rows.shape[0]):
            inside &= <uint64_t> rows[k] < n
    return require(inside, "rows that there are not")


cdef inline int require_strides(const real[:, :] block) except -1:
    """Raise ValueError for a block of which neither rows nor columns are contiguous."""
    cdef ptrdiff_t size = sizeof(real), rows = block.strides[0], columns = block.strides[1]
    cdef bint whole = rows % size == 0 and columns % size == 0
    return require(whole and (size in (rows, columns) or min(block.shape[0], block.shape[1]) <= 1),
                   "neither rows nor columns of a block are contiguous")

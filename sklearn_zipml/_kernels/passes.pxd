cdef class Rows:
    cdef const float[:, ::1] targets
    cdef const float[::1] weights
    cdef bint weighted
    cdef inline bint holds(self, size_t n_rows) noexcept nogil:
        return not self.weighted or <size_t> self.weights.shape[0] >= n_rows
    cdef inline float weight(self, size_t slot) noexcept nogil:
        return self.weights[slot] if self.weighted else 1

cdef class Rows:
    cdef const float[:, ::1] targets
    cdef const float[::1] weights
    cdef bint weighted
    cdef inline float weight(self, size_t slot) noexcept nogil:
        return self.weights[slot] if self.weighted else 1

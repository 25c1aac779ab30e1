cdef enum:
    # A pass looks for signals after about so many values, a few milliseconds.
    SIGNAL_VALUES = 1 << 25

cdef class Rows:
    cdef const float[:, ::1] targets
    cdef const float[::1] weights
    cdef bint weighted
    cdef inline float weight(self, size_t slot) noexcept nogil:
        return self.weights[slot] if self.weighted else 1

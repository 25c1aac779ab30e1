# Handles signals in the main thread, and ends the work of a member whose team was stopped: all long passes call it.
cdef int poll_here() except -1
# The same with the interpreter's lock, which a pass has dropped.
cdef int poll_locked() except -1 nogil
# The same every few milliseconds.
cdef int poll_in_time(size_t *left, size_t values) except -1 nogil

cdef enum:
    # A pass looks for signals, and at a mapped file, after about so many values, a few milliseconds.
    LOOK_VALUES = 1 << 25

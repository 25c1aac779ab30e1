# Handles signals in the main thread, and ends the work of a member whose team was stopped: all long passes call it.
cdef int poll_here() except -1

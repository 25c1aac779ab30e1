"""Which instruction set's kernels run: this module is linked with all of them, and the others ask it."""

import os

cdef extern from "dispatch.h" nogil:
    const zml_kernels *zml_available_kernels(int index)
    const zml_kernels *zml_kernels_named(const char *name)

KERNELS_VARIABLE = "SKLEARN_ZIPML_KERNELS"

# It changes for the whole process, from the next pass on.
cdef const zml_kernels *active = zml_available_kernels(0)


cdef const zml_kernels *active_kernels() noexcept nogil:
    return active


def kernel_name():
    """Name of the instruction set whose kernels run."""
    return active.name.decode()


def available_kernels():
    """Names of the kernels that this CPU and operating system run, best first."""
    cdef int index = 0
    names = []
    while zml_available_kernels(index) != NULL:
        names.append(zml_available_kernels(index).name.decode())
        index += 1
    return names


cdef const zml_kernels *kernels_named(str name) except NULL:
    cdef const zml_kernels *kernels = zml_kernels_named(name.encode())
    if kernels == NULL:
        raise ValueError(f"no kernels named {name!r} run here; available: {', '.join(available_kernels())}")
    return kernels


def use_kernels(str name):
    """Let every pass that starts from now on run with the kernels of that name."""
    global active
    active = kernels_named(name)


def _use_kernels_of_environment():
    name = os.environ.get(KERNELS_VARIABLE)
    if name:
        try:
            use_kernels(name)
        except ValueError as error:
            raise ImportError(f"environment variable {KERNELS_VARIABLE}={name!r}: {error}") from None


_use_kernels_of_environment()

"""The compiled modules; everything else about the package is in pyproject.toml."""

import os
import sysconfig
from glob import glob

from setuptools import Extension, setup

CSRC = "sklearn_zipml/csrc"
# These hold no state; all the other C files are linked into the one module that does.
EPOCH_SOURCES = [f"{CSRC}/epoch.c", f"{CSRC}/team.c"]
NARROW_SOURCES = [f"{CSRC}/narrow_plan.c"]
MATMUL_SOURCES = [f"{CSRC}/matmul_passes.c", f"{CSRC}/moments.c"]
C_SOURCES = sorted(set(glob(f"{CSRC}/*.c")) - set(EPOCH_SOURCES) - set(NARROW_SOURCES) - set(MATMUL_SOURCES))
# Named here, these files are part of the sdist and a change in one of them triggers a rebuild.
HEADERS = sorted(glob(f"{CSRC}/*.h") + glob("sklearn_zipml/*.pxd"))

CYTHON_DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": True,
}

# Instruction sets are chosen at run time, so no -march; float updates must not be contracted into
# fused multiply-adds, or the coefficients would depend on the machine.
if sysconfig.get_platform().startswith("win"):
    COMPILE_ARGS, LINK_ARGS = ["/O2", "/fp:precise"], []
else:
    COMPILE_ARGS, LINK_ARGS = ["-O3", "-ffp-contract=off", "-fno-math-errno"], []
    if os.environ.get("SKLEARN_ZIPML_SANITIZE") == "1":
        LINK_ARGS += ["-fsanitize=address,undefined"]
        COMPILE_ARGS += [*LINK_ARGS, "-g", "-O1", "-fno-omit-frame-pointer"]


def extension(name, *c_sources):
    """Make the module `name` from its .pyx file and, if given, C files linked into it."""
    return Extension(
        f"sklearn_zipml.{name}",
        [f"sklearn_zipml/{name}.pyx", *c_sources],
        depends=HEADERS,
        include_dirs=[CSRC],
        extra_compile_args=COMPILE_ARGS,
        extra_link_args=LINK_ARGS,
    )


setup(
    # The C files hold state (the chosen kernels), so exactly one module links them.
    ext_modules=[
        extension("_kernels", *C_SOURCES),
        extension("_loops"),
        extension("_epochs", *EPOCH_SOURCES),
        extension("_matmul", *MATMUL_SOURCES),
        extension("_narrow", *NARROW_SOURCES),
        extension("_kernel_hooks"),
    ],
    options={"build_ext": {"cython_directives": CYTHON_DIRECTIVES}},
)

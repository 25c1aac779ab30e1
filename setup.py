"""The compiled modules; everything else about the package is in pyproject.toml.

``python setup.py build_ext --inplace`` (``make build``) compiles what changed, and what includes it.
"""

import gzip
import os
import re
import sysconfig
import tarfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from glob import glob
from pathlib import Path
from threading import Lock

import Cython
from Cython.Build import Dependencies
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

CSRC = "sklearn_zipml/csrc"
# These hold no state; all the other C files are linked into the one module that does.
EPOCH_SOURCES = [f"{CSRC}/{name}.c" for name in ("block", "epoch", "saga", "sgd", "team")]
REQUANTIZE_SOURCES = [f"{CSRC}/encoding/requantize_plan.c"]
ENCODER_SOURCES = [f"{CSRC}/encoding/encode.c"]
TILE_SOURCES = [f"{CSRC}/encoding/decode.c", f"{CSRC}/format/rows.c"]
ORDER_SOURCES = [f"{CSRC}/format/permute.c"]
PRODUCT_SOURCES = [f"{CSRC}/products/passes.c", f"{CSRC}/products/moments.c"]
ROW_PRODUCT_SOURCES = [f"{CSRC}/products/passes.c", f"{CSRC}/products/row_gram.c"]
OWN_SOURCES = {*EPOCH_SOURCES, *REQUANTIZE_SOURCES, *PRODUCT_SOURCES, *ROW_PRODUCT_SOURCES}
OWN_SOURCES |= {*ENCODER_SOURCES, *TILE_SOURCES, *ORDER_SOURCES}
C_SOURCES = sorted({*glob(f"{CSRC}/**/*.c", recursive=True)} - OWN_SOURCES)
# Named here, these files are part of the sdist and a change in one of them triggers a look at what includes it.
HEADERS = sorted(glob(f"{CSRC}/**/*.h", recursive=True) + glob("sklearn_zipml/_kernels/*.pxd"))

# What Cython would repeat in each module that knows memoryviews, some 22,000 lines of C, is in a module of its own.
SHARED = "sklearn_zipml._kernels._cyutility"
CYTHON_DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,  # nor freethreading_compatible: no free-threaded Python has run the tests yet
}
# Lines of Cython call the tracer that coverage sets: tests/stress/coverage builds with them.
TRACING = []
if os.environ.get("SKLEARN_ZIPML_TRACE"):
    CYTHON_DIRECTIVES["linetrace"] = True
    TRACING += [("CYTHON_TRACE_NOGIL", "1")]

# Instruction sets are chosen at run time, so no -march; float updates must not be contracted into
# fused multiply-adds, or the coefficients would depend on the machine. Debug information, which Python asks for,
# would take a third of the compiler's time.
if sysconfig.get_platform().startswith("win"):
    COMPILE_ARGS, LINK_ARGS, CROSSING_ARGS, ENCODING_ARGS = ["/O2", "/fp:precise"], [], [], []
else:
    COMPILE_ARGS, LINK_ARGS = ["-O3", "-g0", "-ffp-contract=off", "-fno-math-errno"], []
    # What Cython writes only crosses from Python to the C of CSRC, and is most of what there is to compile.
    CROSSING_ARGS = ["-Og"]
    # The encoder, most of the kernels' code, is as fast with these and compiled in half the time; epochs are not.
    ENCODING_ARGS = ["-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic"]
    # "address,undefined" or "thread": tests/stress/sanitize builds with them.
    if sanitizers := os.environ.get("SKLEARN_ZIPML_SANITIZE"):
        LINK_ARGS += [f"-fsanitize={sanitizers}"]
        COMPILE_ARGS += [*LINK_ARGS, "-fno-sanitize-recover=all", "-g1", "-O1", "-fno-omit-frame-pointer"]
        CROSSING_ARGS, ENCODING_ARGS = ["-O0"], []


def extension(name, *c_sources):
    """Make the module `name` from its .pyx file and, if given, C files linked into it."""
    return Extension(
        f"sklearn_zipml._kernels.{name}",
        [f"sklearn_zipml/_kernels/{name}.pyx", *c_sources],
        depends=HEADERS,
        include_dirs=[CSRC],
        define_macros=TRACING,
        extra_compile_args=COMPILE_ARGS,
        extra_link_args=LINK_ARGS,
    )


def special_arguments(source):
    """What the compiler is told of a source beside COMPILE_ARGS."""
    if not source.startswith(CSRC):
        return CROSSING_ARGS
    return ENCODING_ARGS if source.startswith(f"{CSRC}/encoding/") else []


@cache
def own_files(source):
    """A C file and the files of this project that it includes, directly or not."""
    text = Path(source).read_text(encoding="utf-8")
    included = {Path(CSRC, name) for name in re.findall(r'^\s*#\s*include\s*"(.+)"', text, re.MULTILINE)}
    return {Path(source)}.union(*(own_files(path) for path in included if path.exists()))


class BuildChanged(build_ext):
    """Compiles the files that are newer than their objects, of all modules at once."""

    def build_extensions(self):
        """Build with as many processes as ``-j`` says, or as there are processors."""
        jobs = self.parallel = self.parallel if self.parallel not in (None, True) else os.cpu_count() or 1
        flags = self._flags()
        for module in self.extensions:
            module.depends = [*module.depends, str(flags)]
        compile_all, translate, translating = self.compiler.compile, Dependencies.cythonize, Lock()

        def translate_one(*modules, **options):
            """Translate while others compile: two translations at a time have left functions out of SHARED."""
            with translating:
                return translate(*modules, **options)

        with ThreadPoolExecutor(jobs) as pool:

            def compile_changed(sources, **settings):
                objects = self.compiler.object_filenames(sources, output_dir=settings["output_dir"])
                changed = [
                    source for source, made in zip(sources, objects, strict=True) if is_older(made, source, flags)
                ]

                def compile_one(source):
                    arguments = [*(settings.get("extra_postargs") or []), *special_arguments(source)]
                    return compile_all([source], **{**settings, "extra_postargs": arguments})

                list(pool.map(compile_one, changed))
                return objects

            self.compiler.compile, Dependencies.cythonize = compile_changed, translate_one
            try:
                super().build_extensions()
            finally:
                Dependencies.cythonize = translate

    def _flags(self):
        """A file that changes when compilers or options do; then everything is made anew."""
        compiler = self.compiler
        programs = [getattr(compiler, name, None) for name in ("compiler_so", "linker_so", "cc", "linker")]
        cython = (Cython.__version__, SHARED, CYTHON_DIRECTIVES)
        arguments = (COMPILE_ARGS, CROSSING_ARGS, ENCODING_ARGS, LINK_ARGS)
        text = repr((cython, TRACING, programs, arguments, self.debug, self.define, compiler.include_dirs))
        path = Path(self.build_temp, "flags.txt")
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            self.force = True  # Cython compares times only
        return path


class SameArchive(sdist):
    """With SOURCE_DATE_EPOCH, the same bytes for the same files: sorted, of that time, and of nobody."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, owner=None, group=None):
        """Write the archive, as setuptools does without that variable."""
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if epoch is None or format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, owner, group)

        def of_nobody(member):
            member.mtime, member.uid, member.gid, member.uname, member.gname = int(epoch), 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            return member

        name, root = f"{base_name}.tar.gz", Path(root_dir or ".")
        with (
            open(name, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=int(epoch)) as packed,
            tarfile.open(name, "w", fileobj=packed, format=tarfile.PAX_FORMAT) as archive,
        ):
            for path in sorted([root / base_dir, *(root / base_dir).rglob("*")]):
                archive.add(path, path.relative_to(root).as_posix(), recursive=False, filter=of_nobody)
        return name


def is_older(made, source, flags):
    """Whether an object has to be made anew."""
    made = Path(made)
    return not made.exists() or made.stat().st_mtime < max(p.stat().st_mtime for p in {flags, *own_files(source)})


setup(
    # One module links the kernels and holds the choice among them; the others ask it for them.
    ext_modules=[
        extension("workers"),
        extension("active", *C_SOURCES),
        extension("tiles", *TILE_SOURCES),
        extension("code_tables"),
        extension("columns"),
        extension("dither"),
        extension("outliers"),
        extension("row_order", *ORDER_SOURCES),
        extension("encoder", *ENCODER_SOURCES),
        extension("integers"),
        extension("gathered"),
        extension("passes"),
        extension("epochs", *EPOCH_SOURCES),
        extension("matmul", *PRODUCT_SOURCES),
        extension("requantize", *REQUANTIZE_SOURCES),
        extension("row_products", *ROW_PRODUCT_SOURCES),
        extension("testing"),
        Extension(SHARED, [], extra_compile_args=COMPILE_ARGS, extra_link_args=LINK_ARGS),  # Cython writes its source
    ],
    cmdclass={"build_ext": BuildChanged, "sdist": SameArchive},
    options={
        "build_ext": {"cython_directives": CYTHON_DIRECTIVES, "shared_utility_qualified_name": SHARED},
    },
)

"""See that the map of the source, the table of doc/internals.rst, names every file of the package and no other."""

import re
from fnmatch import fnmatch
from pathlib import Path

from sphinx.util import logging

logger = logging.getLogger(__name__)

MAP = "internals"
PATTERNS = ("**/*.py", "**/*.pyx", "**/*.pxd", "csrc/**/*.[ch]")


def sources(package):
    """Files of the package that somebody wrote, as paths relative to its folder."""
    found = {path.relative_to(package).as_posix() for pattern in PATTERNS for path in package.glob(pattern)}
    return {path for path in found if not path.endswith("/__init__.py")}  # a folder's docstring says its idea


def table(text):
    """The first table of a page: what is between its first and its third line of equals signs."""
    return re.split(r"^=+ +=+$", text, flags=re.MULTILINE)[2]


def differences(text, files):
    """Files that the map does not name, and names in the map that fit no file, both sorted.

    A name may be a pattern, such as ``csrc/passes/*.c``.
    """
    names = re.findall(r"``([\w/.*-]+\.(?:py|pyx|pxd|c|h))``", table(text))
    missing = sorted(path for path in files if not any(fnmatch(path, name) for name in names))
    stale = sorted(name for name in names if not any(fnmatch(path, name) for path in files))
    return missing, stale


def check_map(app):
    """Warn, and so fail a build with warnings as errors, of every difference."""
    page = Path(app.srcdir, f"{MAP}.rst")
    missing, stale = differences(page.read_text(encoding="utf-8"), sources(Path(app.srcdir).parent / "sklearn_zipml"))
    for path in missing:
        logger.warning("the map of the source lacks sklearn_zipml/%s: add a row with its idea", path, location=MAP)
    for name in stale:
        logger.warning("the map of the source names %s, which is no file of sklearn_zipml", name, location=MAP)


def setup(app):
    """Register with Sphinx."""
    app.connect("builder-inited", check_map)
    return {"parallel_read_safe": True}

"""Write the page of the API reference from `sklearn_zipml.__all__`, and see that all it describes has examples.

A name that is added to `__all__` is documented without an edit here: it goes to the first group whose test it passes.
"""

import inspect
from pathlib import Path

from numpydoc.docscrape import ClassDoc, FunctionDoc
from sklearn.base import ClassifierMixin, RegressorMixin, TransformerMixin
from sphinx.util import logging

import sklearn_zipml
import sklearn_zipml.dask

logger = logging.getLogger(__name__)

HEAD = """\
API reference
=============

.. currentmodule:: sklearn_zipml

Every public name, as imported from ``sklearn_zipml``. Methods that scikit-learn's base classes bring along, such as
``get_params``, ``score``, ``set_output`` and ``set_fit_request``, do what scikit-learn documents and are not repeated.
"""

ON_DASK = """\
On Dask
-------

.. currentmodule:: sklearn_zipml.dask

From ``sklearn_zipml.dask``, with the extra ``dask``; :doc:`clusters` tells how they are used.

.. autosummary::
   :toctree: generated
"""

GROUPS = (
    ("Estimators", lambda thing: inspect.isclass(thing) and issubclass(thing, (RegressorMixin, ClassifierMixin))),
    (
        "Packed data",
        lambda thing: inspect.isclass(thing) and issubclass(thing, (TransformerMixin, sklearn_zipml.PackedMatrix)),
    ),
    ("Displays", lambda thing: inspect.isclass(thing) and thing.__name__.endswith("Display")),
    ("Functions", inspect.isroutine),
    ("Warnings", lambda thing: inspect.isclass(thing) and issubclass(thing, Warning)),
    ("Other names", lambda thing: True),
)


def group_of(thing):
    """Title of the group of a public object."""
    return next(title for title, belongs in GROUPS if belongs(thing))


def own_members(owner):
    """Public properties and methods that this package defines for a class, two lists in alphabetical order."""
    members = [(name, member) for name, member in inspect.getmembers(owner) if not name.startswith("_")]
    properties = [name for name, member in members if isinstance(member, property) and is_ours(member.fget)]
    methods = [name for name, member in members if inspect.isroutine(member) and is_ours(member)]
    return {"properties": properties, "methods": methods}


def is_ours(function):
    """Whether a function is of this package and not of a base class from scikit-learn."""
    return (getattr(function, "__module__", None) or "").startswith("sklearn_zipml")


def api_page():
    """Text of the page."""
    lines = [HEAD]
    for title, _ in GROUPS:
        names = [name for name in sorted(sklearn_zipml.__all__) if group_of(getattr(sklearn_zipml, name)) == title]
        if names:
            lines += [title, "-" * len(title), "", ".. autosummary::", "   :toctree: generated", ""]
            lines += [f"   {name}" for name in names] + [""]
    lines += [ON_DASK, *(f"   {name}" for name in sorted(sklearn_zipml.dask.__all__)), ""]
    return "\n".join(lines)


def write_api_page(app, config):
    """Write doc/api.rst if it would change, for a rewritten page is read again."""
    page, text = Path(app.srcdir, "api.rst"), api_page()
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


# Methods of every scikit-learn estimator, of every display and of an array: the example of the class shows them.
USUAL = {"fit", "predict", "decision_function", "transform", "fit_transform", "plot", "size", "get_metadata_routing"}


def public_things():
    """Dotted names and objects."""
    yield from ((name, getattr(sklearn_zipml, name)) for name in sklearn_zipml.__all__)
    yield from ((f"dask.{name}", getattr(sklearn_zipml.dask, name)) for name in sklearn_zipml.dask.__all__)


def described():
    """Dotted names and objects on the pages of the reference: public names, and their own methods and properties."""
    for name, thing in public_things():
        yield name, thing
        if inspect.isclass(thing):
            for member in sorted({*own_members(thing)["properties"], *own_members(thing)["methods"]} - USUAL):
                yield f"{name}.{member}", getattr(thing, member)


def has_example(thing):
    """Whether a docstring has an Examples section with a >>> line."""
    docstring = ClassDoc(thing) if inspect.isclass(thing) else FunctionDoc(getattr(thing, "fget", thing))
    return any(line.lstrip().startswith(">>>") for line in docstring["Examples"])


def check_examples(app):
    """Warn, and so fail a build with warnings as errors, of everything described without an example."""
    for name, thing in described():
        if not has_example(thing):
            logger.warning("sklearn_zipml.%s: the docstring has no Examples section with a >>> line", name)


def setup(app):
    """Register with Sphinx; the page has to be there before autosummary looks for pages (builder-inited)."""
    app.connect("config-inited", write_api_page)
    app.connect("builder-inited", check_examples)
    classes = {thing.__name__: own_members(thing) for _, thing in public_things() if inspect.isclass(thing)}
    app.config.autosummary_context = {"own": classes}
    return {"parallel_read_safe": True}

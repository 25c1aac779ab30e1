"""The link to the API reference that notebooks show with an estimator, and the tooltips of its parameters."""

from functools import cache
from importlib.metadata import PackageNotFoundError, metadata

PAGE = "generated/sklearn_zipml.{estimator_name}.html"


@cache
def documentation_address():
    """Where the documentation is published, as the package's metadata tells (``Documentation`` of its URLs), or ""."""
    try:
        entries = metadata("sklearn_zipml").get_all("Project-URL") or []
    except PackageNotFoundError:  # run from a folder without being installed
        return ""
    urls = dict(entry.split(", ", 1) for entry in entries)
    return urls.get("Documentation", "").rstrip("/")


class DocumentationLink:
    """Mixin that names the page of an estimator; without a published documentation there is no link."""

    _doc_link_module = "sklearn_zipml"

    @property
    def _doc_link_template(self):
        return f"{documentation_address()}/{PAGE}"

    def _get_doc_link(self):
        return super()._get_doc_link() if documentation_address() else ""

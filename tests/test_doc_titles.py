"""The check that every page of the documentation has one title."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
FILE = Path(__file__).parents[1] / "doc" / "_extensions" / "one_title.py"


@pytest.fixture(scope="module")
def fault():
    """The function that judges a page."""
    spec = importlib.util.spec_from_file_location("one_title", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fault


def page(title, *headings):
    """HTML of a page."""
    link = '<a class="headerlink" href="#x" title="Link">#</a>'
    body = "".join(f"<h1>{heading}{link}</h1><h2>Section</h2>" for heading in headings)
    return f"<html><head><title>{title}</title></head><body><a href='.'>Home</a>{body}</body></html>"


def test_one_title(fault):
    """Markup inside a heading is no fault."""
    assert fault(page("Install &#8212; package", "Install")) is None
    assert fault(page("Coming from Ridge &#8212; package", "Coming from <code>Ridge</code>")) is None


@pytest.mark.parametrize(
    ("headings", "told"),
    [([], "has 0 headings"), (["Install", "Which kernels run"], "has 2 headings"), (["Kernels"], "is called")],
)
def test_faults(fault, headings, told):
    """No heading, two, or another one than the head of the page tells."""
    assert told in fault(page("Install &#8212; package", *headings))

"""See that every built page has one title: a heading of the first level, which the tab of the browser shows too."""

from html.parser import HTMLParser
from pathlib import Path

from sphinx.util import logging

logger = logging.getLogger(__name__)


class Titles(HTMLParser):
    """Texts of a page's headings of the first level, and of its title in the head, without the link behind them."""

    def __init__(self, page):
        super().__init__()
        self.headings, self.titles, self._into, self._in_link = [], [], None, False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        """Begin a heading or a title, or the link to it."""
        if tag in ("h1", "title"):
            self._into = self.headings if tag == "h1" else self.titles
            self._into.append("")
        self._in_link |= tag == "a" and "headerlink" in (dict(attributes).get("class") or "")

    def handle_endtag(self, tag):
        """End it."""
        self._into = None if tag in ("h1", "title") else self._into
        self._in_link &= tag != "a"

    def handle_data(self, data):
        """Add text to it."""
        if self._into is not None and not self._in_link:
            self._into[-1] += data


def fault(page):
    """What is wrong with the titles of a page of HTML, or None."""
    found = Titles(page)
    headings, titles = ([" ".join(text.split()) for text in texts] for texts in (found.headings, found.titles))
    if len(headings) != 1:
        return f"has {len(headings)} headings of the first level, not one: {headings}"
    if not titles or not titles[0].startswith(headings[0]):
        return f"is called {titles} where its heading is {headings[0]!r}"
    return None


def check_pages(app, error):
    """Warn, and so fail a build with warnings as errors, of every page at fault."""
    if error is not None or app.builder.name != "html":
        return
    for name in sorted(app.env.found_docs):
        wrong = fault(Path(app.builder.get_outfilename(name)).read_text(encoding="utf-8"))
        if wrong:
            logger.warning("the page %s", wrong, location=name)


def setup(app):
    """Register with Sphinx."""
    app.connect("build-finished", check_pages)
    return {"parallel_read_safe": True}

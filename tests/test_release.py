"""What a release needs besides code: files that agree with each other."""

import re
from pathlib import Path

import pytest

import sklearn_zipml

ROOT = Path(__file__).parents[1]


def test_versions_agree():
    """The citation has the version that comes, or has come."""
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1]
    assert cited == sklearn_zipml.__version__.removesuffix(".dev0")


def test_changelog_is_grouped():
    """Unreleased changes come first, in the groups of Keep a Changelog, each once and with entries."""
    text = (ROOT / "CHANGELOG.md").read_text()
    titles = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert titles[0] == "Unreleased"
    newest = text.split("\n## ")[1]
    groups = re.findall(r"^### (\w+)$", newest, re.MULTILINE)
    assert groups == sorted(set(groups)) and {"Added", "Changed", "Fixed"} <= set(groups)
    for group in newest.split("\n### ")[1:]:
        body = group.split("\n\n", 1)[1].strip("\n")
        assert all(line.startswith(("- ", "  ")) for line in body.split("\n"))


@pytest.mark.parametrize("template", ["wrong_result", "wish"])
def test_issue_templates(template):
    """Are forms with a name, a description, and fields of which one is required."""
    yaml = pytest.importorskip("yaml")
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{template}.yml").read_text())
    assert form["name"] and form["description"]
    assert any(field.get("validations", {}).get("required") for field in form["body"])


@pytest.mark.parametrize("page", ["README.md", "SECURITY.md", "CODE_OF_CONDUCT.md"])
def test_links_lead_somewhere(page):
    """Files that are linked to are there."""
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text())
    missing = [link for link in links if not link.startswith(("http", "mailto")) and not (ROOT / link).exists()]
    assert missing == []

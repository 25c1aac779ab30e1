"""Sphinx configuration. Build with `make doc`; the package has to be installed, the folder beside doc/ is not used."""

import sys
from pathlib import Path

import sklearn_zipml

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "sklearn_zipml"
author = "sklearn_zipml developers"
copyright = f"2026, {author}"
version = release = sklearn_zipml.__version__

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "numpydoc",
    "one_title",  # that every page has
    "public_names",
    "source_map",
    "sphinx-mathjax-offline",  # MathJax itself, so that formulas need no network to read either
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.extlinks",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "literal"
nitpicky = False  # docstring types such as "array of shape (n,)" are prose

# References to other projects are plain links: a build has to work, and give the same pages, without a network.
extlinks = {
    "arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s"),
    "sklearn": ("https://scikit-learn.org/stable/modules/generated/sklearn.%s.html", "%s"),
}

# API reference, generated from sklearn_zipml.__all__ by the extension public_names

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc sections tell the types
numpydoc_show_class_members = False  # the class template lists the methods
numpydoc_validation_checks = {
    "all",
    "ES01",  # a summary may say it all
    "EX01",  # public_names asks for examples, but not of methods that every estimator has
    "RT03",  # a return type such as "array of shape (n_samples,)" may say it all
    "SA01",  # not everything has a relative
}
# Made by the quantizer: the parameters of its constructor are no public interface.
numpydoc_validation_exclude = {r"\.PackedMatrix$"}

doctest_test_doctest_blocks = "default"

# Gallery

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"\.py$",
    "subsection_order": ["../examples/precision", "../examples/workflow", "../examples/resources"],
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("sklearn_zipml",),
    "backreferences_dir": "generated/backreferences",
    "reference_url": {"sklearn_zipml": None},
    "default_thumb_file": str(Path(__file__).parent / "_static" / "thumbnail.png"),
    "image_srcset": ["2x"],
    "capture_repr": ("_repr_html_",),
    "show_signature": False,
    "download_all_examples": False,
    "remove_config_comments": True,
}

plot_formats = ["svg"]
plot_html_show_formats = False
plot_html_show_source_link = False

# Pages

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_zipml"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_show_sourcelink = False
smartquotes_action = "De"  # dashes and ellipses; quotes stay as one has to type them
toc_object_entries_show_parents = "hide"
html_copy_source = False
html_theme_options = {
    "logo": {"text": "sklearn_zipml"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_nav_level": 1,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
html_sidebars = {"index": [], "install": [], "changelog": []}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

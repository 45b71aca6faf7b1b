"""Sphinx's configuration of the book; `make book` calls it. Nothing is executed: the chapters were, by `emolab run`."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

project = html_title = "emolab"
author = "the emolab authors"
copyright = "The emolab authors. Prose and figures: CC BY 4.0, code: MIT"
extensions = ["myst_nb", "sphinx_copybutton", "sphinx.ext.mathjax", "sphinx-mathjax-offline"]
exclude_patterns = ["downloads"]
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, Any] = {}  # its defaults are addresses of a CDN
nb_merge_streams = True
nb_code_prompt_show = "Show the set-up cell"
nb_code_prompt_hide = "Hide the set-up cell"
nb_render_markdown_format = "gfm"  # of outputs: tables, but no mathematics
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
pygments_dark_style = "github-dark"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_copy_source = False
copybutton_selector = "div.cell_input pre, div.highlight-python pre, div.highlight-bash pre"

TERM = re.compile(r"^(\S.*)\n  .*\[(\d\d)\]\(.*\)\.$", re.MULTILINE)  # as stage.py writes docs/glossary.md


class Terms(SphinxTransform):
    """Lets each term, where a chapter explains it in bold, lead to the glossary, and the index of terms lead there."""

    default_priority = 500  # before Sphinx collects the entries of its index

    def apply(self, **_: Any) -> None:
        """Change one chapter."""
        number = self.env.docname.removeprefix("notebooks/")[:2]
        glossary = (self.app.srcdir / "docs" / "glossary.md").read_text(encoding="utf-8")
        own = {term.lower(): term for term, chapter in TERM.findall(glossary) if chapter == number}
        for strong in list(self.document.findall(nodes.strong)):
            if not (term := own.pop(strong.astext().strip(".:, ").lower(), None)):
                continue
            place = nodes.make_id(f"term-{term}-explained")
            entry = ("single", f"{term}; chapter {number}", place, "", None)
            link = addnodes.pending_xref("", strong.deepcopy(), refdomain="std", reftype="term", reftarget=term)
            link["refdoc"] = self.env.docname
            strong.replace_self([addnodes.index(entries=[entry]), nodes.target("", "", ids=[place]), link])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_transform(Terms)

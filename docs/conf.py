"""The documentation as a site, made of the pages that the repository shows: `sphinx-build -c docs . build/site`."""

from __future__ import annotations

from typing import Any

import nipo_auth_mw

project = "nipo_auth_mw"
release = nipo_auth_mw.__version__
language = "en"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "nipo_auth_mw"
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "examples/README.md", "changelog.d/README.md"]
exclude_patterns = [".*", "**/node_modules"]

# The heading anchors of code hosts.
myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"


def docstring(_app: Any, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Turn the little Markdown of a docstring into reStructuredText: indented blocks are code, a * is a *."""
    shown: list[str] = []
    for number, line in enumerate(lines):
        indented = line.startswith("    ")
        if indented and not lines[number - 1].strip() and not _in_block(shown):
            shown += ["::", ""]
        shown.append(line if indented else line.replace("*", "\\*"))
    lines[:] = shown


def _in_block(shown: list[str]) -> bool:
    """Whether the last line that is not empty belongs to a block."""
    return next((line for line in reversed(shown) if line.strip()), "").startswith("    ")


def setup(app: Any) -> None:
    """Let Sphinx call `docstring`."""
    app.connect("autodoc-process-docstring", docstring)


# What docstrings write in single backticks is code.
default_role = "code"

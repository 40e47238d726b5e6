"""How Sphinx builds the site out of the Markdown files of this checkout: `make docs`.

The pages stay plain Markdown with relative links, as GitHub shows them. Each link to a page or a heading that is not
there is a warning, and so is a page that no index leads to; `make docs` makes every warning an error.
https://www.sphinx-doc.org/en/master/usage/configuration.html
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from estimatesync_docs.navigation import format_navigation, parse_navigation  # noqa: E402 - found by the line above

project = "EstimateSync"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "charts/*/README.md", "deploy/*/README.md", "tests/support/README.md"]
exclude_patterns = [".*", "api", "build", "changelog.d", "dist", "operator", "requirements", "syncjob"]
language = "en"
nitpicky = True

# Anchors for headings down to this level, spelt as GitHub spells them.
myst_heading_anchors = 4

html_theme = "furo"
html_title = "EstimateSync"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_last_updated_fmt = None

_TRANSLATIONS = ("es",)
_INDEXES = {root_doc, *(f"docs/{language}/index" for language in _TRANSLATIONS)}
_FRONT = '<!doctype html><title>EstimateSync</title><meta http-equiv="refresh" content="0; url=docs/index.html">\n'


def setup(app: Any) -> None:  # noqa: ANN401 - Sphinx is not installed where types are checked
    """Connect what is ours; Sphinx calls it."""
    app.connect("source-read", _add_navigation)
    app.connect("html-page-context", _tell_language)
    app.connect("build-finished", _write_front)


def _add_navigation(_: object, page: str, source: list[str]) -> None:
    if page in _INDEXES:
        source[0] += format_navigation(parse_navigation(source[0]))


def _tell_language(_: object, page: str, __: str, context: dict[str, Any], ___: object) -> None:
    """Let a screen reader, and a browser that translates, know."""
    folder = page.removeprefix("docs/").partition("/")[0]
    if folder in _TRANSLATIONS:
        context["language"] = folder


def _write_front(app: Any, error: Exception | None) -> None:  # noqa: ANN401 - as above
    """The site begins at its index, wherever it is opened."""
    if error is None:
        (Path(app.outdir) / "index.html").write_text(_FRONT)

"""Makes the site's navigation out of the lists of links in an index page, so that the order of pages is said once.

`docs/conf.py` calls it for `docs/index.md` and for the index of each translation. Pure, and without imports of ours: it
runs in the environment of Sphinx, where the product is not installed.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

_HEADING: Final = re.compile(r"^## (?P<title>.+)$")
_LINK: Final = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<page>[^)#]+)\.md\)")


def parse_navigation(index: str) -> dict[str, list[tuple[str, str]]]:
    """Read each heading of the second level and the pages that its list begins its lines with.

    Returns:
        By heading, in order: pairs of a title and a page, relative to the index and without `.md`. A page that is named
        again further down stays where it was first.
    """
    seen: set[str] = set()
    sections: dict[str, list[tuple[str, str]]] = {}
    for heading, title, page in _find_links(index):
        if page not in seen:
            sections.setdefault(heading, []).append((title, page))
        seen.add(page)
    return sections


def format_navigation(sections: Mapping[str, list[tuple[str, str]]]) -> str:
    """Write hidden tables of contents in MyST, one for each heading."""
    return "".join(
        "\n".join(
            [
                "\n```{toctree}",
                ":hidden:",
                f":caption: {heading}",
                "",
                *(f"{title} <{page}>" for title, page in pages),
                "```\n",
            ]
        )
        for heading, pages in sections.items()
    )


def _find_links(index: str) -> Iterator[tuple[str, str, str]]:
    heading = ""
    for line in re.sub(r"<!--.*?-->", "", index, flags=re.DOTALL).splitlines():
        if found := _HEADING.match(line):
            heading = found["title"]
        elif found := _LINK.match(line):
            yield heading, found["title"], found["page"]

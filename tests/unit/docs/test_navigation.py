"""The navigation of the site is the lists of its index."""

import pytest
from estimatesync_docs.navigation import format_navigation, parse_navigation

INDEX = """
# Documentation

- [Before any heading](ignored-only-by-name.md)

## How to

- [Install it](install.md): with *words* after it
- [A heading of it](install.md#upgrade)

Prose with [a link](prose.md).

<!-- - [Not there yet](later.md) -->

## Explanation

- [EstimateSync](../README.md)
- [Again](install.md)
"""


def test_each_heading_has_the_pages_that_its_list_begins_with() -> None:
    assert parse_navigation(INDEX) == {
        "": [("Before any heading", "ignored-only-by-name")],
        "How to": [("Install it", "install")],
        "Explanation": [("EstimateSync", "../README")],
    }


def test_the_tables_of_contents_are_hidden_and_in_order() -> None:
    text = format_navigation(parse_navigation(INDEX))

    assert text.count("```{toctree}\n:hidden:\n") == 3
    assert ":caption: How to\n\nInstall it <install>\n```\n" in text


@pytest.mark.parametrize("index", ["", "# Only a title", "- [Elsewhere](https://example.com/page.html)"])
def test_an_index_without_pages_makes_no_navigation(index: str) -> None:
    assert format_navigation(parse_navigation(index)) == ""

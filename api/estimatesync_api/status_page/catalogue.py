"""Every word of the page in every language: `words.toml`, read once.

Called by `tongue.py`, and by the test that compares the languages.
"""

import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Final

Words = Mapping[str, str]
"""What is said, by key."""


def parse_catalogue(text: str) -> Mapping[str, Words]:
    """Read the catalogue: for each language, what is said by dotted key."""
    catalogue: dict[str, dict[str, str]] = {}
    for key, said in _walk(tomllib.loads(text), ""):
        for language, words in said.items():
            catalogue.setdefault(language, {})[key] = words
    return catalogue


def _walk(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for name, value in table.items():
        key = f"{prefix}.{name}" if prefix else name
        if all(isinstance(each, str) for each in value.values()):
            yield key, value
        else:
            yield from _walk(value, key)


CATALOGUE: Final = parse_catalogue(files("estimatesync_api.status_page").joinpath("words.toml").read_text("utf-8"))
LANGUAGES: Final = ("en", "es")
"""The first one is spoken to whoever asks for none of them."""

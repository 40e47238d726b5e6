"""How a text holds API keys: the API reads them so, and a caller that is given the same file. Pure.

One key after the other, separated by commas or line breaks, each as `name:key` or just the key. Lines that begin with #
are comments.
"""

import re
from collections.abc import Iterator
from typing import Final

_NAMED_KEY: Final = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]{0,31}):(?P<key>.*)")


def iterate_keys(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name, empty for one without, and the key of each entry, unchecked."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for entry in (entry.strip() for line in lines for entry in line.split(",")):
        if named := _NAMED_KEY.fullmatch(entry):
            yield named["name"], named["key"]
        elif entry:
            yield "", entry

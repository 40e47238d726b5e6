"""A record's shape: which parts of it are relations, and how it looks when `depth` stops populating them.

Payload stores ids and populates them on reading. The sample keeps records fully populated, as `depth=2` gives them,
and takes relations away again for a smaller depth.
"""

from collections.abc import Mapping
from typing import Any

Record = dict[str, Any]
"""One estimate as JSON gives it; a record is replaced, never edited in place."""

RELATIONS = frozenset({"branch", "user", "client", "property"})
FULL_DEPTH = 2
"""The deepest relation of a record (property → client); Payload's default depth is the same."""


def populate(record: Mapping[str, Any], depth: int) -> Record:
    """Build the record as `depth` shows it: relations below it are bare ids."""
    if depth >= FULL_DEPTH:
        return dict(record)
    return {name: _format_field(name, value, depth) for name, value in record.items()}


def _format_field(name: str, value: object, depth: int) -> object:
    if name not in RELATIONS or not isinstance(value, dict):
        return value
    return populate(value, depth - 1) if depth > 0 else value.get("id")

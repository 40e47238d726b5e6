"""What a listing shows of a record: how deep its relations are populated, and which fields it is asked for. Pure.

`depth` bounds relations, `select` names fields of the record, and `populate` fields of the documents that it refers to,
by their collections: `select[name]=true`, `populate[branches][name]=true`. A record as it is stored is fully populated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sample_attic_tech.records import FULL_DEPTH, RELATIONS, Record

_ALWAYS = frozenset({"id", "collection"})
"""Shown whatever is selected: the second by a document that can log in, which names its collection."""

Fields = Mapping[str, Any]
"""For each name True or False, or the fields inside a group; one False means all fields but those, as in Payload."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is shown of each record.

    Attributes:
        depth: relations below it are bare ids.
        select: the record's own fields; None for all.
        populate: the same for populated documents, by collection; None for all.
    """

    depth: int = FULL_DEPTH
    select: Fields | None = None
    populate: Mapping[str, Fields | None] = field(default_factory=dict)


def parse_fields(tree: object) -> Fields | None:
    """Read the fields from what the query string gave, None where it gave nothing; what is neither selects no field."""
    if tree is None:
        return None
    if not isinstance(tree, Mapping):
        return {}
    return {
        name: parse_fields(inner) if isinstance(inner, Mapping) else inner != ("false",) for name, inner in tree.items()
    }


def parse_populate(tree: object) -> Mapping[str, Fields | None]:
    """Read the fields of each collection."""
    return {name: parse_fields(inner) for name, inner in tree.items()} if isinstance(tree, Mapping) else {}


def to_document(record: Mapping[str, Any], selection: Selection) -> Record:
    """Build what a listing shows of a record."""
    return _to_document(record, selection.select, selection.depth, selection.populate)


def _to_document(
    record: Mapping[str, Any], fields: Fields | None, depth: int, populate: Mapping[str, Fields | None]
) -> Record:
    return {
        name: _to_value(name, value, depth, populate)
        for name, value in (record if fields is None else select_fields(record, fields)).items()
    }


def _to_value(name: str, value: object, depth: int, populate: Mapping[str, Fields | None]) -> object:
    if name not in RELATIONS or not isinstance(value, Mapping):
        return value
    if depth <= 0:
        return value.get("id")
    return _to_document(value, populate.get(RELATIONS[name]), depth - 1, populate)


def select_fields(document: Mapping[str, Any], fields: Fields) -> Record:
    """Keep the fields that are named, or all but those, and _ALWAYS. Of a relation, nothing inside can be named."""
    is_exclusive = _names_exclusions(fields)
    return {
        name: _select_inside(value, fields[name]) if name not in RELATIONS and name in fields else value
        for name, value in document.items()
        if name in _ALWAYS or fields.get(name, is_exclusive) is not False
    }


def _select_inside(value: object, inner: object) -> object:
    return select_fields(value, inner) if isinstance(value, Mapping) and isinstance(inner, Mapping) else value


def _names_exclusions(fields: Fields) -> bool:
    return any(inner is False or (isinstance(inner, Mapping) and _names_exclusions(inner)) for inner in fields.values())

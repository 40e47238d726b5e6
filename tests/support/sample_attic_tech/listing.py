"""A listing as Payload answers it: reading the query string, and filtering, sorting and paging records. Pure.

The query string comes in the brackets of `qs`, encoded or not; `where[field][operator]=value` becomes typed conditions.
Tests build conditions directly.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto
from functools import lru_cache, partial
from operator import ge, gt, le, lt
from typing import Any, assert_never
from urllib.parse import parse_qsl

import msgspec

from sample_attic_tech.payload_errors import InternalError, QueryError
from sample_attic_tech.records import FULL_DEPTH, MONEY_FIELDS, RELATIONS, parse_instant
from sample_attic_tech.selection import Selection, parse_fields, parse_populate

Scalar = float | str | datetime | None

DEFAULT_LIMIT = 10
DEFAULT_SORT = ("-createdAt",)
_ID_LIMIT = 2**31


class FieldKind(StrEnum):
    """How a queryable field's values compare."""

    ID = auto()
    NUMBER = auto()
    TEXT = auto()
    INSTANT = auto()


FIELD_KINDS: Mapping[str, FieldKind] = {
    "id": FieldKind.ID,
    **dict.fromkeys(RELATIONS, FieldKind.ID),
    **dict.fromkeys(("createdAt", "updatedAt"), FieldKind.INSTANT),
    **dict.fromkeys((*MONEY_FIELDS, "labor_hours"), FieldKind.NUMBER),
    **dict.fromkeys(("tax_details.tax_rate", "tax_details.final_price_after_taxes"), FieldKind.NUMBER),
    **dict.fromkeys(("name", "status", "crew_notes", "payment_method"), FieldKind.TEXT),
    **dict.fromkeys(("branch.name", "user.name", "user.email", "property.address"), FieldKind.TEXT),
    **dict.fromkeys(("client.fullName", "client.email", "property.client.fullName"), FieldKind.TEXT),
}
"""What can be queried and sorted by."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One comparison of one field; `operand` is a scalar, a tuple for `in`, a bool for `exists`."""

    field: str
    operator: str
    operand: Scalar | tuple[Scalar, ...] | bool


@dataclass(frozen=True, kw_only=True)
class AllOf:
    """Every part must hold; no parts hold always."""

    parts: tuple["Where", ...]


@dataclass(frozen=True, kw_only=True)
class AnyOf:
    """At least one part must hold."""

    parts: tuple["Where", ...]


Where = Condition | AllOf | AnyOf


def _when_present(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """As in SQL, an order comparison with null never holds."""
    return lambda value, operand: value is not None and operand is not None and compare(value, operand)


OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": lambda value, operand: value == operand,
    "not_equals": lambda value, operand: value != operand,
    "greater_than": _when_present(gt),
    "greater_than_equal": _when_present(ge),
    "less_than": _when_present(lt),
    "less_than_equal": _when_present(le),
    "in": lambda value, operand: value in operand,
    "not_in": lambda value, operand: value not in operand,
    "contains": _when_present(lambda value, operand: operand.lower() in str(value).lower()),
    "like": _when_present(
        lambda value, operand: all(word in str(value).lower() for word in operand.lower().split(" "))
    ),
    "exists": lambda value, operand: (value is not None) is operand,
}


def parse_condition(field: str, operator: str, texts: tuple[str, ...]) -> Condition:
    """Build a condition from the texts of a query string; several texts serve `in`.

    Payload lets an unreadable date or number, or one of two values, match nothing; the sample refuses it, so that a
    client's mistake shows.

    Raises:
        QueryError: for a field or operator that cannot be queried, or an unreadable value.
    """
    if operator not in OPERATORS:
        raise QueryError(f"{field}.{operator}")
    try:
        return Condition(field=field, operator=operator, operand=_parse_operand(field, operator, texts))
    except ValueError as error:
        raise QueryError(field) from error


def _parse_operand(field: str, operator: str, texts: tuple[str, ...]) -> Scalar | tuple[Scalar, ...] | bool:
    if operator == "exists":
        return texts[0] == "true"
    if operator in {"in", "not_in"}:
        return tuple(_parse_scalar(field, part.strip()) for text in texts for part in text.split(","))
    (text,) = texts
    return _parse_scalar(field, text)


def _parse_scalar(field: str, text: str) -> Scalar:
    match FIELD_KINDS[field]:
        case FieldKind.ID:
            return _parse_id(text)
        case FieldKind.NUMBER:
            return float(text)
        case FieldKind.INSTANT:
            return None if text in {"", "null"} else parse_instant(text)
        case FieldKind.TEXT:
            return text


def _parse_id(text: str) -> float:
    """PostgreSQL refuses what is a number, but no integer of four bytes."""
    number = float(text)
    if not number.is_integer() or not -_ID_LIMIT <= number < _ID_LIMIT:
        raise InternalError
    return number


def read_field(record: Mapping[str, Any], path: str) -> Scalar:
    """Read a field for comparing: `branch.name` goes inside, instants are parsed, a relation counts as its id.

    What is missing on the way, and a list, is null.
    """
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        value = value.get("id")
    if FIELD_KINDS.get(path) is FieldKind.INSTANT and isinstance(value, str):
        return parse_instant(value)
    return value if isinstance(value, int | float | str) else None


def matches(record: Mapping[str, Any], where: Where) -> bool:
    """Whether the record meets the conditions."""
    match where:
        case AllOf(parts=parts):
            return all(matches(record, part) for part in parts)
        case AnyOf(parts=parts):
            return any(matches(record, part) for part in parts)
        case Condition():
            return OPERATORS[where.operator](read_field(record, where.field), where.operand)
        case _:
            assert_never(where)


class Page(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Payload's paging envelope; encodes to its JSON names (`totalDocs`, `hasNextPage` …)."""

    docs: Sequence[Any]
    total_docs: int
    limit: int
    total_pages: int
    page: int
    paging_counter: int
    has_prev_page: bool
    has_next_page: bool
    prev_page: int | None
    next_page: int | None


def query(
    records: Iterable[Mapping[str, Any]],
    *,
    where: Where | None = None,
    sort: Sequence[str] = DEFAULT_SORT,
    limit: int = DEFAULT_LIMIT,
    page: int = 1,
    is_paged: bool = True,
) -> Page:
    """Build one page of the records.

    Args:
        records: the collection; records with equal sort values keep their order here.
        where: conditions, or none for all records.
        sort: field paths, `-` before one for descending; a field that no record has changes nothing.
        limit: records a page, ≥ 0; 0 gives all records on one page.
        page: from 1; a page past the end is empty and keeps the true totals.
        is_paged: False counts only what is on this page, and says nothing about others (`pagination=false`).
    """
    matching = [record for record in records if where is None or matches(record, where)]
    for field in reversed(sort):
        matching.sort(key=partial(_read_sort_key, field.removeprefix("-")), reverse=field.startswith("-"))
    if not is_paged and limit:
        matching = matching[(page - 1) * limit : page * limit]
        return msgspec.structs.replace(_build_page(matching, limit=0, page=page), limit=limit)
    return _build_page(matching, limit=limit, page=page)


def _read_sort_key(path: str, record: Mapping[str, Any]) -> tuple[bool, Any]:
    """Nulls sort last, and first when descending: PostgreSQL's default."""
    value = read_field(record, path)
    return (True, 0) if value is None else (False, value)


def _build_page(docs: Sequence[Mapping[str, Any]], *, limit: int, page: int) -> Page:
    total = len(docs)
    # Payload turns paging off for limit=0, and reports one page when nothing matches.
    is_paged = limit > 0 and total > 0
    start = (page - 1) * limit
    total_pages = -(-total // limit) if is_paged else 1
    has_prev = is_paged and page > 1
    has_next = is_paged and page < total_pages
    return Page(
        docs=docs[start : start + limit] if is_paged else docs,
        total_docs=total,
        limit=limit,
        total_pages=total_pages,
        page=page,
        paging_counter=start + 1 if is_paged else 1,
        has_prev_page=has_prev,
        has_next_page=has_next,
        prev_page=page - 1 if has_prev else None,
        next_page=page + 1 if has_next else None,
    )


@dataclass(frozen=True, kw_only=True)
class FindQuery:
    """What one listing asks for, defaults filled in."""

    where: Where
    sort: tuple[str, ...]
    limit: int
    page: int
    is_paged: bool
    selection: Selection


@lru_cache(maxsize=1024)
def parse_find_query(query_string: str) -> FindQuery:
    """Read a query string; unknown parameters and unknown fields to sort by are ignored, as in Payload.

    Payload 3 takes a number that is none for no limit, or for depth 0; the sample refuses it, so that a client's
    mistake shows.

    Raises:
        QueryError: for a `where` that cannot be queried.
        InternalError: for a negative or unreadable number.
    """
    tree = _parse_brackets(query_string)
    is_paged = tree.get("pagination") != ("false",)
    limit = _parse_int(tree.get("limit"), DEFAULT_LIMIT if is_paged else 0)
    page = _parse_int(tree.get("page"), 1) or 1
    if limit < 0 or page < 0:
        raise InternalError
    where = tree.get("where", {})
    if unknown := tuple(_find_unknown(where)):
        raise QueryError(*unknown)
    return FindQuery(
        where=_parse_all(where),
        sort=_parse_sort(tree.get("sort")),
        limit=limit,
        page=page,
        is_paged=is_paged,
        selection=Selection(
            depth=_parse_int(tree.get("depth"), FULL_DEPTH),
            select=parse_fields(tree.get("select")),
            populate=parse_populate(tree.get("populate")),
        ),
    )


def _parse_brackets(query_string: str) -> dict[str, Any]:
    """Nest `a[b][c]=text` as {a: {b: {c: (text,)}}}; a repeated key collects several texts."""
    tree: dict[str, Any] = {}
    for key, text in parse_qsl(query_string, keep_blank_values=True):
        name, *inner = re.split(r"\]?\[", key.removesuffix("]"))
        _insert(tree, [name, *inner], text)
    return tree


def _insert(tree: dict[str, Any], path: list[str], text: str) -> None:
    *parents, last = path
    node: Any = tree
    for name in parents:
        node = node.setdefault(name, {}) if isinstance(node, dict) else None
    if not isinstance(node, dict) or isinstance(node.get(last), dict):
        # The same name once with a value and once with an inner name.
        raise QueryError(".".join(path))
    node[last] = (*node.get(last, ()), text)


def _find_unknown(tree: object) -> Iterator[str]:
    """Find every field that there is not: Payload names them all at once."""
    for name, inner in tree.items() if isinstance(tree, dict) else ():
        if name.lower() in {"and", "or"}:
            for part in inner.values() if isinstance(inner, dict) else ():
                yield from _find_unknown(part)
        elif name not in FIELD_KINDS:
            yield name


def _parse_all(tree: object) -> AllOf:
    if not isinstance(tree, dict):
        raise QueryError("where")
    return AllOf(parts=tuple(part for name, inner in tree.items() for part in _parse_entry(name, inner)))


def _parse_entry(name: str, inner: object) -> tuple[Where, ...]:
    if not isinstance(inner, dict):
        raise QueryError(name)
    if name.lower() in {"and", "or"}:
        parts = tuple(_parse_all(part) for part in inner.values())
        return (AllOf(parts=parts) if name.lower() == "and" else AnyOf(parts=parts),)
    return tuple(parse_condition(name, operator, _flatten(name, texts)) for operator, texts in inner.items())


def _flatten(field: str, texts: object) -> tuple[str, ...]:
    """An array may come as `[in][0]=1&[in][1]=2` or `[in][]=1&[in][]=2` too."""
    if isinstance(texts, dict):
        return tuple(text for inner in texts.values() for text in _flatten(field, inner))
    if isinstance(texts, tuple):
        return texts
    raise QueryError(field)


def _parse_sort(texts: object) -> tuple[str, ...]:
    parts = [part for text in texts for part in text.split(",")] if isinstance(texts, tuple) else []
    return tuple(part for part in parts if part.removeprefix("-") in FIELD_KINDS) or DEFAULT_SORT


def _parse_int(texts: object, default: int) -> int:
    if texts is None:
        return default
    try:
        (text,) = texts if isinstance(texts, tuple) else ()
        return int(text)
    except ValueError as error:
        raise InternalError from error

"""The query string of a listing, read as Payload reads it (its `qs` brackets, encoded or not).

The sample's listing endpoint calls this; the meaning of conditions is in `conditions`, of paging in `paging`.
"""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from sample_attic_tech.conditions import AllOf, AnyOf, Where, parse_condition
from sample_attic_tech.paging import DEFAULT_LIMIT, DEFAULT_SORT
from sample_attic_tech.payload_errors import InternalError, QueryError
from sample_attic_tech.relations import FULL_DEPTH


@dataclass(frozen=True, kw_only=True)
class FindQuery:
    """What one listing asks for, defaults filled in."""

    where: Where
    sort: tuple[str, ...]
    limit: int
    page: int
    depth: int


def parse_find_query(query_string: str) -> FindQuery:
    """Read a query string; numbers that are none count as absent, unknown parameters are ignored, as in Payload.

    Raises:
        QueryError: for a `where` that cannot be queried.
        InternalError: for a negative limit or page, which PostgreSQL refuses.
    """
    tree = _parse_brackets(query_string)
    limit = _parse_int(tree.get("limit"), DEFAULT_LIMIT)
    page = _parse_int(tree.get("page"), 1) or 1
    if limit < 0 or page < 0:
        raise InternalError
    return FindQuery(
        where=_parse_all(tree.get("where", {})),
        sort=_parse_sort(tree.get("sort")),
        limit=limit,
        page=page,
        depth=_parse_int(tree.get("depth"), FULL_DEPTH),
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


def _parse_all(tree: object) -> AllOf:
    if not isinstance(tree, dict):
        raise QueryError("where")
    return AllOf(parts=tuple(part for name, inner in tree.items() for part in _parse_entry(name, inner)))


def _parse_entry(name: str, inner: object) -> tuple[Where, ...]:
    if not isinstance(inner, dict):
        raise QueryError(name)
    if name in {"and", "or"}:
        parts = tuple(_parse_all(part) for part in inner.values())
        return (AllOf(parts=parts) if name == "and" else AnyOf(parts=parts),)
    return tuple(parse_condition(name, operator, _flatten(name, texts)) for operator, texts in inner.items())


def _flatten(field: str, texts: object) -> tuple[str, ...]:
    """An array may come as `[in][0]=1&[in][1]=2` or `[in][]=1&[in][]=2` too."""
    if isinstance(texts, dict):
        return tuple(text for inner in texts.values() for text in _flatten(field, inner))
    if isinstance(texts, tuple):
        return texts
    raise QueryError(field)


def _parse_sort(texts: object) -> tuple[str, ...]:
    if not isinstance(texts, tuple):
        return DEFAULT_SORT
    return tuple(part for text in texts for part in text.split(",") if part) or DEFAULT_SORT


def _parse_int(texts: object, default: int) -> int:
    if not isinstance(texts, tuple):
        return default
    try:
        return int(texts[-1])
    except ValueError:
        return default

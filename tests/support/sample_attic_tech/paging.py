"""How Payload filters, sorts and cuts a listing: a pure function of the records, called for each request."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from sample_attic_tech.conditions import Where, matches, read_field

DEFAULT_LIMIT = 10
DEFAULT_SORT = ("-createdAt",)


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
) -> Page:
    """Build one page of the records.

    Args:
        records: the collection; records with equal sort values keep their order here.
        where: conditions, or none for all records.
        sort: field paths, `-` before one for descending; a field that no record has changes nothing.
        limit: records a page, ≥ 0; 0 gives all records on one page.
        page: from 1; a page past the end is empty and keeps the true totals.
    """
    matching = [record for record in records if where is None or matches(record, where)]
    for field in reversed(sort):
        matching.sort(key=partial(_read_sort_key, field.removeprefix("-")), reverse=field.startswith("-"))
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

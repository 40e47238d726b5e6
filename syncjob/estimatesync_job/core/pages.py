"""What a response of Attic Tech contains: records mapped to rows, and what it proves about the rest.

`attic_tech` maps each response as it arrives; `queries` says what is asked for and `coverage` what is still to ask.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar

import msgspec

from estimatesync_job.core.deletions import FoundIds
from estimatesync_job.core.errors import SourceInvalidError
from estimatesync_job.core.fields import is_plain_number
from estimatesync_job.core.rows import Document, RecordId, RecordProblem, Row, Rows, find_record_id, map_records
from estimatesync_job.core.unshown import Path

Doc = TypeVar("Doc")

CLOSING_PAGE: Final = 0
"""Stands in for the page number of a closing pass's response."""

IDS_PAGE: Final = -1
"""Stands in for the page number of an answer about ids."""


class PageBody(msgspec.Struct, Generic[Doc], frozen=True, kw_only=True, rename="camel"):
    """One page as Payload sends it; its documents are decoded, or raw where one of them cannot be."""

    docs: tuple[Doc, ...]
    limit: Any = None
    total_pages: int | None = None
    page: int | None = None
    has_next_page: bool | None = None


AnyPageBody = PageBody[Document] | PageBody[msgspec.Raw]

_PAGES: Final = msgspec.json.Decoder(PageBody[Document], float_hook=Decimal)


def decode_page(body: bytes | bytearray) -> PageBody[Document]:
    """Decode a page and its documents in one pass.

    Raises:
        Exception: One of UNREADABLE: it is no page, or a part of it is not well formed.
    """
    return _PAGES.decode(body)


class PlacedProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A record that cannot become a row, and where it stands: page and position count from 1."""

    page: int
    position: int
    problem: RecordProblem


class FetchedPage(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a response: its rows, the records that gave none, and what it says about the listing.

    Attributes:
        page: its place among all pages, or CLOSING_PAGE.
        limit: records requested.
        total_pages: as reported, in pages of this size; None where it was not.
        has_more: whether records may follow, by the more cautious of what it says and how full it is.
        seconds: from the request to the whole response.
        first, last: the ids at its ends; None when it holds no id.
        asked_at: Attic Tech's clock when it was requested, by the newest Date header until then; None while unknown.
        answered_at: the server's clock by its own Date header; None without one.
        newest: the newest `updatedAt` in it, up to the end of the range.
        evidence: which paths to the columns its records show.
        is_whole: whether whole records were asked for, and not just fields of them.
    """

    page: int
    limit: int
    total_pages: int | None
    has_more: bool
    size_bytes: int
    seconds: float
    rows: Rows
    problems: tuple[PlacedProblem, ...]
    first: RecordId | None
    last: RecordId | None
    asked_at: datetime | None = None
    answered_at: datetime | None = None
    newest: datetime | None = None
    evidence: frozenset[Path] = frozenset()
    is_whole: bool = True

    @property
    def records(self) -> int:
        """How many records the response contained, mapped or not."""
        return len(self.rows) + len(self.problems)

    @property
    def is_numbered(self) -> bool:
        """Whether its ids are numbers, whose order is known; so are those of a response without any."""
        return not isinstance(self.first, str) and not isinstance(self.last, str)


def map_page(
    body: AnyPageBody,
    *,
    page: int,
    limit: int,
    size_bytes: int,
    seconds: float,
    end: datetime,
    asked_at: datetime | None = None,
    answered_at: datetime | None = None,
    is_whole: bool = True,
) -> FetchedPage:
    """Map every record of a page.

    Args:
        body: as it came.
        page: its place among all pages, or CLOSING_PAGE.
        limit: records requested.
        size_bytes: of the body.
        seconds: from the request to the whole response.
        end: the last instant of the range.
        asked_at: the server's clock at the request.
        answered_at: the server's clock by the response itself.
        is_whole: whether whole records were asked for.

    Raises:
        SourceInvalidError: The ids do not descend, so nothing could be proved about those between two pages.
    """
    mapped = map_records(body.docs)
    ids = _read_ids(body.docs, mapped.rows, page)
    return FetchedPage(
        page=page,
        limit=limit,
        total_pages=body.total_pages,
        has_more=_has_more(body, limit),
        size_bytes=size_bytes,
        seconds=seconds,
        rows=mapped.rows,
        problems=tuple(
            PlacedProblem(page=page, position=position, problem=problem)
            for position, problem in mapped.problems.items()
        ),
        evidence=mapped.evidence,
        first=ids[0] if ids else None,
        last=ids[-1] if ids else None,
        asked_at=asked_at,
        answered_at=answered_at,
        newest=_find_newest(mapped.rows, end),
        is_whole=is_whole,
    )


def find_differences(one: FetchedPage, other: FetchedPage) -> frozenset[str] | None:
    """Find what two responses show differently of the same version of an estimate.

    Returns:
        Columns, and the field of a record that is a row in one of them alone; None where nothing can be compared.
    """
    rows, others = _read_versions(one), _read_versions(other)
    differing = {*_find_faults(one, other), *_find_faults(other, one)}
    shared = rows.keys() & others.keys()
    for version in shared:
        row, again = rows[version], others[version]
        differing.update(name for name, value, same in zip(row._fields, row, again, strict=True) if value != same)
        number = row.attic_tech_estimate_id
        differing.update({*one.rows.unshown.get(number, ())} ^ {*other.rows.unshown.get(number, ())})
    return frozenset(differing) if shared or differing else None


def _find_faults(one: FetchedPage, other: FetchedPage) -> Iterable[str]:
    shown = {str(number) for number in other.rows.ids}
    return (placed.problem.field for placed in one.problems if placed.problem.record_id in shown)


def _read_versions(page: FetchedPage) -> Mapping[tuple[int, datetime | None], Row]:
    return {(row.attic_tech_estimate_id, row.at_updated_date): row for row in page.rows}


def map_ids(body: AnyPageBody, *, limit: int) -> FoundIds:
    """Read which estimates an answer shows, whatever else it shows of them.

    Raises:
        SourceInvalidError: It contains what has no id that a row can have.
    """
    ids = [find_record_id(raw) for raw in body.docs]
    numbers = [int(identity) for identity in ids if identity is not None and is_plain_number(str(identity))]
    if len(numbers) < len(ids):
        raise SourceInvalidError("Attic Tech was asked for estimates by their ids, and sent some without.")
    return FoundIds(ids=frozenset(numbers), is_whole=not _has_more(body, limit))


def _has_more(body: AnyPageBody, limit: int) -> bool:
    return bool(body.has_next_page) or len(body.docs) >= _find_limit(body, limit)


def _find_limit(body: AnyPageBody, limit: int) -> int:
    """Find how many records there can be: a server may give fewer than are requested, and says so."""
    return min(limit, body.limit) if isinstance(body.limit, int) and body.limit > 0 else limit


def _find_newest(rows: Rows, end: datetime) -> datetime | None:
    """Find the newest stamp; one beyond the range is of an estimate that has left it, or of no real time at all."""
    return max((updated for updated in rows.updated if updated and updated <= end), default=None)


def _read_ids(docs: Sequence[Document | msgspec.Raw], rows: Rows, page: int) -> list[RecordId]:
    """Read the ids in the order sent. Texts are taken as sorted, for only the server knows how it sorts them."""
    if not docs:
        return []
    ends = [find_record_id(docs[0]), find_record_id(docs[-1])]
    if all(isinstance(end, int) for end in ends):
        if rows.ids != sorted(rows.ids, reverse=True):
            raise SourceInvalidError(f"Attic Tech did not sort {format_place(page)} by id, as it was asked to.")
        return [end for end in ends if end is not None]
    return [identity for raw in docs if (identity := find_record_id(raw)) is not None]


def compute_later(*times: datetime | None) -> datetime | None:
    """Find the latest of some times; None where none is known."""
    return max((time for time in times if time), default=None)


def is_below(identity: RecordId, bound: RecordId | None) -> bool:
    """Whether an id comes later in a listing. Only the server knows how it sorts texts: any other may come later."""
    return identity < bound if isinstance(identity, int) and isinstance(bound, int) else identity != bound


def format_place(page: int) -> str:
    """Name a response for a person."""
    if page == IDS_PAGE:
        return "the question for deleted estimates"
    return "the closing pass" if page == CLOSING_PAGE else f"page {page}"


def format_problem(placed: PlacedProblem) -> str:
    """Say which record is invalid and why, for a person who will look it up in Attic Tech."""
    problem = placed.problem
    return (
        f"Record {placed.position} on {format_place(placed.page)} (id {problem.record_id}) cannot be stored: "
        f"{problem.field} {problem.problem}. Nothing was stored; correct the record in Attic Tech and sync again."
    )

"""What a response of Attic Tech contains: records mapped to rows, and what it proves about the rest.

`attic_tech` maps each response as it arrives; `queries` says what is asked for and `coverage` what is still to ask.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from estimatesync_job.core.errors import SourceInvalidError
from estimatesync_job.core.rows import RecordId, RecordProblem, Row, map_records, parse_record_id
from estimatesync_job.core.unshown import Path

CLOSING_PAGE: Final = 0
"""Stands in for the page number of a closing pass's response."""


class PageBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One page as Payload sends it; the documents stay raw until each is mapped."""

    docs: tuple[msgspec.Raw, ...]
    total_pages: int | None = None
    page: int | None = None
    has_next_page: bool | None = None


class SourceTime(msgspec.Struct, frozen=True, kw_only=True):
    """How late it is for Attic Tech, as far as it has shown: never later than it really is.

    Attributes:
        clock: its server's clock, from the newest response's Date header; None while unknown.
        stamp: the newest `updatedAt` seen; None while unknown.
    """

    clock: datetime | None = None
    stamp: datetime | None = None


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
        total_pages: as reported; None where it was not.
        has_more: whether records may follow, by the more cautious of what it says and how full it is.
        seconds: from the request to the whole response.
        first, last: the ids at its ends; None when it holds no id.
        asked_at: Attic Tech's time when it was requested: it was put together at that time or later.
        unshown: by the id of an estimate, the columns that its record does not show.
        evidence: which paths to the columns its records show.
    """

    page: int
    limit: int
    total_pages: int | None
    has_more: bool
    size_bytes: int
    seconds: float
    rows: tuple[Row, ...]
    problems: tuple[PlacedProblem, ...]
    first: RecordId | None
    last: RecordId | None
    asked_at: SourceTime
    unshown: Mapping[int, tuple[str, ...]] = {}
    evidence: frozenset[Path] = frozenset()

    @property
    def records(self) -> int:
        """How many records the response contained, mapped or not."""
        return len(self.rows) + len(self.problems)


def map_page(
    body: PageBody, *, page: int, limit: int, size_bytes: int, seconds: float, asked_at: SourceTime
) -> FetchedPage:
    """Map every record of a page; `page` and `limit` are what was requested.

    Raises:
        SourceInvalidError: The ids do not descend, so nothing could be proved about those between two pages.
    """
    mapped = map_records(body.docs)
    rows = tuple(result for result in mapped.results if isinstance(result, Row))
    ids = _read_ids(body.docs, rows, page)
    return FetchedPage(
        page=page,
        limit=limit,
        total_pages=body.total_pages,
        has_more=bool(body.has_next_page) or len(body.docs) >= limit,
        size_bytes=size_bytes,
        seconds=seconds,
        rows=rows,
        problems=tuple(
            PlacedProblem(page=page, position=position, problem=result)
            for position, result in enumerate(mapped.results, start=1)
            if isinstance(result, RecordProblem)
        ),
        unshown=mapped.unshown,
        evidence=mapped.evidence,
        first=ids[0] if ids else None,
        last=ids[-1] if ids else None,
        asked_at=asked_at,
    )


def _read_ids(docs: tuple[msgspec.Raw, ...], rows: Sequence[Row], page: int) -> list[RecordId]:
    """Read the ids in the order sent. Texts are taken as sorted, for only the server knows how it sorts them."""
    if not docs:
        return []
    ends = [parse_record_id(docs[0]), parse_record_id(docs[-1])]
    if all(isinstance(end, int) for end in ends):
        numbers = [row.attic_tech_estimate_id for row in rows]
        if numbers != sorted(numbers, reverse=True):
            raise SourceInvalidError(f"Attic Tech did not sort {format_place(page)} by id, as it was asked to.")
        return [end for end in ends if end is not None]
    return [identity for raw in docs if (identity := parse_record_id(raw)) is not None]


def compute_later(time: SourceTime, *, clock: datetime | None, page: FetchedPage | None = None) -> SourceTime:
    """Advance the time by a response. A stamp ahead of the server's own clock proves nothing, and is cut to that."""
    shown = max((moment for moment in (time.clock, clock) if moment), default=None)
    return SourceTime(clock=shown, stamp=compute_stamp(time, page) if page else time.stamp)


def compute_stamp(asked_at: SourceTime, page: FetchedPage) -> datetime | None:
    """Compute how late it was, at least, by the records' own stamps when a page was put together."""
    stamps = [row.at_updated_date for row in page.rows if row.at_updated_date]
    newest = max(stamps, default=None)
    if newest and asked_at.clock:
        newest = min(newest, asked_at.clock)
    return max((stamp for stamp in (asked_at.stamp, newest) if stamp), default=None)


def is_below(identity: RecordId, bound: RecordId | None) -> bool:
    """Whether an id comes later in a listing. Only the server knows how it sorts texts: any other may come later."""
    return identity < bound if isinstance(identity, int) and isinstance(bound, int) else identity != bound


def format_place(page: int) -> str:
    """Name a response for a person."""
    return "the closing pass" if page == CLOSING_PAGE else f"page {page}"


def format_problem(placed: PlacedProblem) -> str:
    """Say which record is invalid and why, for a person who will look it up in Attic Tech."""
    problem = placed.problem
    return (
        f"Record {placed.position} on {format_place(placed.page)} (id {problem.record_id}) cannot be stored: "
        f"{problem.field} {problem.problem}. Nothing was stored; correct the record in Attic Tech and sync again."
    )

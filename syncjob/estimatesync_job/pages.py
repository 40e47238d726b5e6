"""Which pages to ask for, how to ask, and what an answer holds.

Pages are read by offset, so their order must not change under us. They are sorted by creation time, which no edit
changes, and by id among equals: an edited record keeps its place and a new one comes last, on a page that the plan
then grows by. `sync` works through plans until none is left.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from estimatesync_job.day_bounds import DayBounds, represent_instant
from estimatesync_job.rows import RecordProblem, Row, map_record

SORT: Final = "createdAt,id"
DEPTH: Final = 2
"""Deep enough for a property's client."""


class PageAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One page as Payload sends it; the documents stay raw until each is mapped."""

    docs: tuple[msgspec.Raw, ...]
    total_pages: int | None = None
    page: int | None = None
    has_next_page: bool | None = None


class PlacedProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A record that cannot become a row, and where it stands: page and position count from 1."""

    page: int
    position: int
    problem: RecordProblem


class FetchedPage(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a page: its rows, the records that gave none, and the counts."""

    page: int
    total_pages: int
    size_bytes: int
    rows: tuple[Row, ...]
    problems: tuple[PlacedProblem, ...]

    @property
    def records(self) -> int:
        """How many records the page held, mapped or not."""
        return len(self.rows) + len(self.problems)


class FetchState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the fetch has come: pages stored so far, in order, and how many there are by the newest answer."""

    pages: int = 0
    total_pages: int = 1
    records: int = 0


def plan_next_pages(state: FetchState) -> range:
    """Plan what is still to fetch: the first page, which tells how many there are, then the rest, then any growth."""
    return range(state.pages + 1, state.total_pages + 1)


def next_state(state: FetchState, page: FetchedPage) -> FetchState:
    """Count a stored page."""
    return FetchState(pages=page.page, total_pages=page.total_pages, records=state.records + page.records)


def build_page_query(page: int, *, page_size: int, bounds: DayBounds) -> Mapping[str, str]:
    """Build the query of one page, in Payload's notation."""
    return {
        "limit": str(page_size),
        "page": str(page),
        "depth": str(DEPTH),
        "sort": SORT,
        "where[updatedAt][greater_than_equal]": represent_instant(bounds.start),
        "where[updatedAt][less_than_equal]": represent_instant(bounds.end),
    }


def map_page(answer: PageAnswer, *, page: int, size_bytes: int) -> FetchedPage:
    """Map every record of a page; `page` is what was asked for."""
    mapped = [(position, map_record(raw)) for position, raw in enumerate(answer.docs, start=1)]
    return FetchedPage(
        page=page,
        total_pages=_compute_total_pages(answer, page),
        size_bytes=size_bytes,
        rows=tuple(row for _, row in mapped if isinstance(row, Row)),
        problems=tuple(
            PlacedProblem(page=page, position=position, problem=problem)
            for position, problem in mapped
            if isinstance(problem, RecordProblem)
        ),
    )


def _compute_total_pages(answer: PageAnswer, page: int) -> int:
    if answer.total_pages is not None:
        return answer.total_pages
    return page + 1 if answer.has_next_page else page


def represent_problem(placed: PlacedProblem) -> str:
    """Say which record is broken and how, for a person who will look it up in Attic Tech."""
    problem = placed.problem
    return (
        f"Record {placed.position} on page {placed.page} (id {problem.record_id}) cannot be stored: "
        f"{problem.field} {problem.problem}. Nothing was stored; correct the record in Attic Tech and sync again."
    )

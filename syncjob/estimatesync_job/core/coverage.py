"""What has been read of the range, and what that leaves unproven.

The pages of the range are read by offset, side by side, so what leaves or enters the range meanwhile shifts others
from page to page. Yet each page is a whole stretch of ids at the instant it was put together: only the gaps between
two stretches, and what has changed since, are unproven. The closing pass asks for just these. docs/completeness.md
holds the argument; `transfer` does the asking.
"""

from datetime import datetime
from typing import Final

import msgspec

from estimatesync_job.core.errors import SourceInvalidError
from estimatesync_job.core.page_plan import PagePlan, next_plan
from estimatesync_job.core.pages import FetchedPage, is_below
from estimatesync_job.core.queries import OVERLAP, Gap

MAX_RECORDS: Final = 2_000_000
"""More estimates than any company has: what sends them is something else, or never ends. What is announced is no limit,
for some announce far too much; reading ends with what there is."""

MAX_STALLED: Final = 10
"""Pages in a row that reach no further down than those before. Below them, a closing pass reads by id."""


class FetchState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the pages have been read.

    Attributes:
        plan: the pages there are to read.
        pages: read so far, in order.
        records: read so far.
        edge: the newest page that had an id.
        began_at: Attic Tech's clock before the first of the pages was requested; None while unknown.
        is_clock_contradicted: whether a stamp on any page, or another clock, says that this clock is wrong.
        is_numbered: whether the ids are numbers.
        is_at_end: an empty page was met.
        stalled: pages in a row that reached no further down.
    """

    plan: PagePlan
    pages: int = 0
    records: int = 0
    edge: FetchedPage | None = None
    began_at: datetime | None = None
    is_clock_contradicted: bool = False
    is_numbered: bool = True
    is_at_end: bool = False
    stalled: int = 0

    @property
    def is_over(self) -> bool:
        """Whether all pages have been read."""
        return self.is_at_end or self.stalled >= MAX_STALLED or self.pages >= self.plan.total_pages

    @property
    def is_nearly_read(self) -> bool:
        """Whether a closing pass may begin: all pages are read, or the last one, which lies below all others, is not.

        The pass covers everything below the newest page anyway, and so proves what that last page would.
        """
        is_last_to_come = self.plan.is_settled and self.pages == self.plan.total_pages - 1
        return self.is_over or (is_last_to_come and self.edge is not None)


def next_state(state: FetchState, page: FetchedPage) -> FetchState:
    """Count a page that has been read, and plan what follows from it.

    Raises:
        SourceInvalidError: There are more records than can be.
    """
    plan = next_plan(state.plan, page, edge=state.edge)
    records = state.records + page.records
    check_size(records)
    return FetchState(
        plan=plan,
        pages=page.page,
        records=records,
        edge=state.edge if page.last is None else page,
        began_at=compute_earlier(state.began_at, page.asked_at),
        is_clock_contradicted=state.is_clock_contradicted or is_clock_contradicted(page),
        is_numbered=state.is_numbered and page.is_numbered,
        is_at_end=not page.records,
        stalled=0 if _reaches_down(state.edge, page) else state.stalled + 1,
    )


def check_size(records: int) -> None:
    """Refuse to read more records than there can be: they would fill the disk.

    Raises:
        SourceInvalidError: There are more.
    """
    if records > MAX_RECORDS:
        raise SourceInvalidError(
            f"Attic Tech has sent {records:,} estimates without an end; a sync reads at most {MAX_RECORDS:,}. "
            "Check ATTIC_TECH_URL, or ask for fewer days at once."
        )


def _reaches_down(edge: FetchedPage | None, page: FetchedPage) -> bool:
    if edge is None or edge.last is None or page.last is None:
        return True
    return is_below(page.last, edge.last)


def compute_earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """Find the earlier of two times of Attic Tech's clock; unknown is earliest."""
    return min(one, other) if one and other else None


def is_clock_contradicted(page: FetchedPage) -> bool:
    """Whether two clocks are further apart than any two should be: then none can be relied on.

    A stamp may be ahead of the response's Date header, or that one behind what another response has shown before.
    """
    return are_dates_contradicted(page) or bool(
        page.answered_at and page.newest and page.newest > page.answered_at + OVERLAP
    )


def are_dates_contradicted(page: FetchedPage) -> bool:
    """Whether the Date header of a response is behind that of one before it: then neither tells the time."""
    return bool(page.answered_at and page.asked_at and page.asked_at > page.answered_at + OVERLAP)


def find_gap(edge: FetchedPage | None, page: FetchedPage) -> Gap | None:
    """Find the ids between the page before and this one, or above the first; two numbers in a row leave none."""
    if page.first is None:
        return None
    if edge is None or edge.last is None:
        return Gap(below=None, above=page.first)
    if isinstance(edge.last, int) and isinstance(page.first, int) and edge.last - page.first <= 1:
        return None
    return Gap(below=edge.last, above=page.first)


def find_tail(edge: FetchedPage | None) -> Gap:
    """Find the ids below everything read: nothing that a server says about its totals proves that there are none."""
    return Gap(below=edge.last if edge else None, above=None)

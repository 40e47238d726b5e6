"""What has been read, what that leaves unproven, and what to ask for until nothing is: the sync's completeness.

The pages of the range are read by offset, side by side, so what leaves or enters the range meanwhile shifts others
from page to page. Yet each page is a whole stretch of ids at the instant it was put together: only the gaps between
two stretches, and what has changed since, are unproven. Closing passes ask for just these. docs/completeness.md
holds the argument; `transfer` does the asking.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from estimatesync_job.core.errors import SourceInvalidError
from estimatesync_job.core.page_plan import PagePlan, next_plan
from estimatesync_job.core.pages import FetchedPage, SourceTime, compute_stamp, is_below
from estimatesync_job.core.queries import ChangesQuery, Gap

OVERLAP: Final = timedelta(seconds=60)
"""How long after its stamp a change may become visible: clocks of several servers, open transactions, one tick."""

MAX_PASSES: Final = 10

MAX_RECORDS: Final = 2_000_000
"""More estimates than any company has: what sends them is something else, or never ends. What is announced is no limit,
for some announce far too much; reading ends with what there is."""

MAX_STALLED: Final = 10
"""Pages in a row that reach no further down than those before. Below them, a closing pass reads by id."""

MIN_LIMIT: Final = 100
"""Records that a closing pass asks for at least: more may have changed than fits into a tiny page."""

GAPS_PER_QUERY: Final = 18
"""With two more conditions, the 20 that a query string's list may have by default, in some 4 KB."""


class FetchState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the pages have been read.

    Attributes:
        plan: the pages there are to read.
        pages: read so far, in order.
        records: read so far.
        edge: the newest page that had an id.
        read_since: anything that changed after it was read, or instead of being read, changed at this time or later.
        newest: the newest stamp on any page, unless the server's clock contradicts it.
        is_at_end: an empty page was met.
        stalled: pages in a row that reached no further down.
    """

    plan: PagePlan
    pages: int = 0
    records: int = 0
    edge: FetchedPage | None = None
    read_since: SourceTime | None = None
    newest: datetime | None = None
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
    own = compute_stamp(page.asked_at, page)
    newest = max((stamp for stamp in (state.newest, own) if stamp), default=None)
    # A page without records holds nothing that could change, unless it says that the range is empty.
    counts = bool(page.records) or page.page == 1
    plan = next_plan(state.plan, page, edge=state.edge)
    records = state.records + page.records
    check_size(records)
    return FetchState(
        plan=plan,
        pages=page.page,
        records=records,
        edge=state.edge if page.last is None else page,
        read_since=compute_earlier(state.read_since, page, newest=newest) if counts else state.read_since,
        newest=newest,
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


def compute_earlier(time: SourceTime | None, page: FetchedPage, *, newest: datetime | None = None) -> SourceTime:
    """Compute the earlier of a time and a response's, each of the two clocks for itself; unknown is earliest.

    Args:
        time: so far.
        page: the response.
        newest: a stamp that another response has shown, whichever of the two was requested first. It existed when this
            one was put together if the server's clock had already passed it when this one was requested.
    """
    stamp, clock = compute_stamp(page.asked_at, page), page.asked_at.clock
    if newest and clock:
        stamp = max(min(newest, clock), stamp or newest)
    own = SourceTime(clock=clock, stamp=stamp)
    if time is None:
        return own
    return SourceTime(clock=_earlier(time.clock, own.clock), stamp=_earlier(time.stamp, own.stamp))


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one and other else None


def find_gap(edge: FetchedPage | None, page: FetchedPage) -> Gap | None:
    """Find the ids between the page before and this one; two numbers next to each other leave none."""
    if edge is None or edge.last is None or page.first is None:
        return None
    if isinstance(edge.last, int) and isinstance(page.first, int) and edge.last - page.first <= 1:
        return None
    return Gap(below=edge.last, above=page.first)


def find_tail(edge: FetchedPage | None) -> Gap | None:
    """Find the ids below everything read: nothing that a server says about its totals proves that there are none."""
    return None if edge is None or edge.last is None else Gap(below=edge.last, above=None)


def plan_pass(gaps: Sequence[Gap], *, since: SourceTime, limit: int, start: datetime) -> tuple[ChangesQuery, ...]:
    """Plan the requests of a closing pass; the first also asks for changes.

    Args:
        gaps: the ids to ask for.
        since: when the reading of what may have changed began.
        limit: records expected in one response at most; more are requested if that is little.
        start: of the range; changes are requested from there on when no stamp is known.
    """
    limit = max(limit, MIN_LIMIT)
    first = ChangesQuery(
        limit=limit,
        changed_since=max(start, since.stamp - OVERLAP) if since.stamp else start,
        left_since=since.clock and since.clock - OVERLAP,
        gaps=tuple(gaps[:GAPS_PER_QUERY]),
    )
    return (first, *_plan_gaps(gaps[GAPS_PER_QUERY:], limit))


def _plan_gaps(gaps: Sequence[Gap], limit: int) -> Iterator[ChangesQuery]:
    for number in range(0, len(gaps), GAPS_PER_QUERY):
        chunk = tuple(gaps[number : number + GAPS_PER_QUERY])
        yield ChangesQuery(limit=limit, changed_since=None, left_since=None, gaps=chunk)


def plan_continuation(query: ChangesQuery, response: FetchedPage) -> ChangesQuery | None:
    """Plan the request that continues a response, from the last id in it; None when there is no more.

    Raises:
        SourceInvalidError: It says that there is more, but contains no id to continue from, or none further down.
    """
    if not response.records or not response.has_more:
        return None
    if response.last is None or not is_below(response.last, query.below):
        raise SourceInvalidError("Attic Tech does not continue a listing below an id (where[id][less_than]).")
    return msgspec.structs.replace(query, below=response.last)


class PassResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a closing pass has found.

    Attributes:
        queries: requests planned.
        responses: how many it took.
        records: how many these contained.
        new_or_changed: estimates that were not staged in just that form before.
        began_at: no later than the first of the responses.
    """

    queries: int
    responses: int = 0
    records: int = 0
    new_or_changed: int = 0
    began_at: SourceTime | None = None


def is_proof(result: PassResult) -> bool:
    """Whether a pass has proved the sync complete.

    One response is one instant: all that was unproven before it is read as of that instant. Several responses are not,
    but where they brought nothing new, nothing had changed when the pass began. Gaps spread over several queries
    prove nothing about what leaves the range between these.
    """
    return result.queries == 1 and (result.responses == 1 or result.new_or_changed == 0)


def next_result(result: PassResult, response: FetchedPage, *, new_or_changed: int) -> PassResult:
    """Count a response of a closing pass.

    Raises:
        SourceInvalidError: The pass has brought more records than can be.
    """
    records = result.records + response.records
    check_size(records)
    return PassResult(
        queries=result.queries,
        responses=result.responses + 1,
        records=records,
        new_or_changed=result.new_or_changed + new_or_changed,
        began_at=compute_earlier(result.began_at, response),
    )

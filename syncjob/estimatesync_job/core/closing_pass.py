"""The closing pass: asks for what the pages have left unproven, and so proves that nothing is missing.

The line of all ids, open at both ends, is cut into segments. Each is read by itself, side by side with the others, from
its highest id down: a response that is not the last is continued below the last id in it, and where much is left that
is cut again. Whatever has changed since the pages were read, or lies between two of them, goes on matching until its
segment comes to it, so one pass is enough. docs/completeness.md holds the argument; `coverage` says what the pages
leave, and `transfer` does the asking.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec
from estimatesync_contract.backoff import compute_backoff
from estimatesync_contract.specific_causes import SpecificCause

from estimatesync_job.core.coverage import FetchState, check_size, compute_earlier, is_clock_contradicted
from estimatesync_job.core.errors import SourceInvalidError
from estimatesync_job.core.page_plan import MAX_PAGE_BYTES
from estimatesync_job.core.pages import FetchedPage, is_below
from estimatesync_job.core.queries import OVERLAP, ChangesQuery, Gap
from estimatesync_job.core.rows import RecordId

MIN_LIMIT: Final = 100
"""Records that a closing pass asks for where they are light: more may have changed than fits into a tiny page."""

GAPS_PER_QUERY: Final = 18
"""With two more conditions, the 20 that a query string's list may have by default, in some 4 KB."""

_FEW_RESPONSES: Final = 2
"""Up to so many more are read one after the other, for each cut costs a request where it turns out to be wrong."""

_MAX_CUTS: Final = 1000
"""At once; how much is left is only what the server says."""


class PassPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long passes go on that prove nothing: pauses in seconds, and by the loop's clock the end of all."""

    first_pause: float = 1.0
    longest_pause: float = 60.0
    ends_at: float = math.inf


def compute_pause(policy: PassPolicy, *, passes: int, remaining: float) -> float | None:
    """Compute the seconds to wait after so many passes; None when the sync must have ended by then."""
    pause = compute_backoff(passes, first=policy.first_pause, longest=policy.longest_pause)
    return pause if pause < remaining else None


class PassResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a closing pass has found.

    Attributes:
        queries: requests planned at its beginning.
        since: what its queries ask for at least; None where they ask for the whole range.
        responses: how many it took.
        records: how many these contained.
        began_at: no later than the first of the responses, by Attic Tech's clock; None while unknown.
        is_numbered: whether all ids are numbers, those of the pages among them.
        is_clock_contradicted: whether a stamp or another clock says that the clock is wrong.
    """

    queries: int
    since: datetime | None
    responses: int = 0
    records: int = 0
    began_at: datetime | None = None
    is_numbered: bool = True
    is_clock_contradicted: bool = False


def compute_limit(state: FetchState) -> int:
    """Compute how many records a response of a closing pass may hold: the last page and a few more, or as many as fit.

    Several responses are in memory at once, so heavy records are asked for in small numbers, however many have changed.
    """
    last = state.plan.series[-1].limit
    wanted = max(state.plan.page_size + (0 if state.is_over else last), MIN_LIMIT)
    heaviest = state.plan.heaviest
    fitting = int(MAX_PAGE_BYTES / heaviest) if heaviest else wanted
    return min(wanted, max(fitting, last + last // 10 + 1))


def plan_pass(
    gaps: Sequence[Gap], *, clock: datetime | None, limit: int, is_numbered: bool
) -> tuple[ChangesQuery, ...]:
    """Plan the requests that a closing pass begins with.

    Args:
        gaps: the ids that no page has covered.
        clock: Attic Tech's, when the reading of what may have changed began; None where it cannot be relied on.
        limit: records requested at most.
        is_numbered: whether the ids are numbers. Of others only the server knows the order, so that they cannot be cut.
    """
    if clock is None:
        return (ChangesQuery(limit=limit, since=None),)
    everything = ChangesQuery(limit=limit, since=clock - OVERLAP)
    if not is_numbered:
        groups = list(_group(gaps)) or [()]
        return tuple(msgspec.structs.replace(everything, gaps=group) for group in groups)
    return _plan_segments(everything, gaps)


def plan_changes(gaps: Sequence[Gap], *, since: datetime, clock: datetime, limit: int) -> tuple[ChangesQuery, ...]:
    """Plan the requests of a pass that no pages go before: what has changed since an earlier sync, or lies in a gap.

    Args:
        gaps: between numbers.
        since: what the earlier sync may not have seen has no older stamp.
        clock: Attic Tech's, as the login was answered; what leaves the range does so later.
        limit: records requested at most.
    """
    return _plan_segments(ChangesQuery(limit=limit, since=since, left_since=clock - OVERLAP), gaps)


def _plan_segments(everything: ChangesQuery, gaps: Sequence[Gap]) -> tuple[ChangesQuery, ...]:
    merged = tuple(_merge(gaps))
    *ends, _ = [group[-1].above for group in _group(merged)] or [None]
    return tuple(_cut(msgspec.structs.replace(everything, gaps=merged), [end for end in ends if isinstance(end, int)]))


def _group(gaps: Sequence[Gap]) -> Iterator[tuple[Gap, ...]]:
    for number in range(0, len(gaps), GAPS_PER_QUERY):
        yield tuple(gaps[number : number + GAPS_PER_QUERY])


def _merge(gaps: Sequence[Gap]) -> Iterator[Gap]:
    """Put gaps between numbers in order, from the highest down, and make one of those that overlap."""
    merged: Gap | None = None
    for gap in sorted(gaps, key=_get_highest, reverse=True):
        if merged is None:
            merged = gap
        elif merged.above is None or _get_highest(gap) > int(merged.above):
            lowest = min(_get_lowest(merged), _get_lowest(gap))
            merged = Gap(below=merged.below, above=None if math.isinf(lowest) else int(lowest))
        else:
            yield merged
            merged = gap
    if merged is not None:
        yield merged


def _get_highest(gap: Gap) -> float:
    return math.inf if gap.below is None else int(gap.below)


def _get_lowest(gap: Gap) -> float:
    return -math.inf if gap.above is None else int(gap.above)


def _cut(query: ChangesQuery, ids: Sequence[int]) -> Iterator[ChangesQuery]:
    """Cut a query into segments, each with its own gaps; `ids`, descending, are the highest of all segments but one."""
    below = query.below
    for above in (*ids, query.above):
        gaps = tuple(part for gap in query.gaps if (part := _clip(gap, below=below, above=above)))
        yield msgspec.structs.replace(query, below=below, above=above, gaps=gaps)
        below = None if above is None else int(above) + 1


def _clip(gap: Gap, *, below: RecordId | None, above: RecordId | None) -> Gap | None:
    """Cut a gap to a segment; None where they have no number in common."""
    highest = min((int(end) for end in (gap.below, below) if end is not None), default=None)
    lowest = max((int(end) for end in (gap.above, above) if end is not None), default=None)
    if highest is not None and lowest is not None and highest - lowest <= 1:
        return None
    return Gap(below=highest, above=lowest)


def plan_continuations(query: ChangesQuery, response: FetchedPage, *, cuts: Sequence[int]) -> tuple[ChangesQuery, ...]:
    """Plan the requests that continue a response, from the last id in it; none when there is no more.

    Count and documents are statements of their own, so a response is the last one when it is empty, or when it is not
    full and says, too, that no more follow.

    Args:
        query: what was asked.
        response: its response.
        cuts: ids at which much can be cut, descending, about as many records from one to the next, as far as any are
            known.

    Raises:
        SourceInvalidError: It contains other ids than were asked for, or none to continue from.
    """
    _check_ids(query, response)
    if not response.records or not response.has_more:
        return ()
    if response.last is None or not is_below(response.last, query.below):
        raise SourceInvalidError(
            "Attic Tech does not continue a listing below an id (where[id][less_than]).",
            cause=SpecificCause.LIST_NOT_CONTINUED,
        )
    rest = msgspec.structs.replace(query, below=response.last, limit=_compute_fitting(query, response))
    return (
        tuple(_cut(rest, _choose_cuts(rest, response, cuts)))
        if response.is_numbered and _has_numbers(rest)
        else (rest,)
    )


def _compute_fitting(query: ChangesQuery, response: FetchedPage) -> int:
    """Compute how many records a response may hold if they are as heavy as those of this one."""
    is_too_heavy = response.size_bytes > MAX_PAGE_BYTES
    return max(1, query.limit * MAX_PAGE_BYTES // response.size_bytes) if is_too_heavy else query.limit


def _has_numbers(query: ChangesQuery) -> bool:
    ends = (query.below, query.above, *(end for gap in query.gaps for end in (gap.below, gap.above)))
    return not any(isinstance(end, str) for end in ends)


def _check_ids(query: ChangesQuery, response: FetchedPage) -> None:
    first, last = response.first, response.last
    if not isinstance(first, int) or not isinstance(last, int):
        return
    below, above = query.below, query.above
    if (isinstance(below, int) and first >= below) or (isinstance(above, int) and last <= above):
        raise SourceInvalidError(
            "Attic Tech does not keep to the ids that it is asked for (where[id][less_than], where[id][greater_than])."
        )


def _choose_cuts(rest: ChangesQuery, response: FetchedPage, cuts: Sequence[int]) -> Sequence[int]:
    """Choose where to cut the rest, so that each segment fits into a response if it goes on being as dense as this one.

    How much is left is what the server says, which nothing depends on but the number of requests.
    """
    first, last = int(response.first or 0), int(response.last or 0)
    lowest = -math.inf if rest.above is None else int(rest.above)
    remaining = (response.total_pages or 1) - 1
    known = [cut for cut in cuts if cut <= first]
    if not known:
        # There were no pages, or they end above: a server that gives fewer records than it is asked for leaves a tail.
        return _choose_even_cuts(first, last, remaining=remaining, lowest=max(lowest, 0))
    passed = sum(last <= cut for cut in known)
    ahead = [cut for cut in known if lowest < cut < last]
    if not passed or remaining <= _FEW_RESPONSES:
        return ()
    # A quarter less than fits, for a response that is just full is not known to be the last.
    stride = max(1, passed * 3 // 4)
    return ahead[stride::stride][: -(-remaining * passed // stride)]


def _choose_even_cuts(first: int, last: int, *, remaining: int, lowest: float) -> Sequence[int]:
    """Choose them as if the ids went on being as dense."""
    if remaining <= _FEW_RESPONSES:
        return ()
    width = first - last + 1
    stride = max(1, width * 3 // 4)
    cuts = range(last - stride, last - stride - width * remaining, -stride)[:_MAX_CUTS]
    return [cut for cut in cuts if cut > lowest]


def next_result(result: PassResult, response: FetchedPage) -> PassResult:
    """Count a response of a closing pass.

    Raises:
        SourceInvalidError: The pass has brought more records than can be.
    """
    records = result.records + response.records
    check_size(records)
    return msgspec.structs.replace(
        result,
        responses=result.responses + 1,
        records=records,
        began_at=compute_earlier(result.began_at, response.asked_at) if result.responses else response.asked_at,
        is_numbered=result.is_numbered and response.is_numbered,
        is_clock_contradicted=result.is_clock_contradicted or is_clock_contradicted(response),
    )


def is_proof(result: PassResult, *, new_or_changed: int) -> bool:
    """Whether a pass has proved the sync complete as of its beginning.

    With numbers as ids every pass has, unless it went by a clock that is wrong. Of other ids only the server knows the
    order, so that what has been read of them says nothing about the rest. Then one response is one instant, and several
    that bring nothing new show that nothing had changed when they began. Gaps in several queries prove neither.

    Args:
        result: of the pass.
        new_or_changed: estimates that were not staged in just that form before.
    """
    if result.is_clock_contradicted and result.since is not None:
        return False
    return result.is_numbered or (result.queries == 1 and (result.responses == 1 or new_or_changed == 0))

"""Finds out which stored estimates are gone from Attic Tech, and which are marked and are not.

`sync` calls it where deletions are marked, after everything has been read and before the merge that marks them.
`core.deletions` decides what to believe.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from estimatesync_contract import log_lines

from estimatesync_job.core.deletions import (
    MAX_VAIN,
    MAX_WHOLE_IDS,
    AbsenceDoubtedError,
    Absent,
    Deletions,
    TooManyIdsError,
    check_bound,
    check_found,
    choose_witnesses,
    plan_batches,
    plan_question,
)
from estimatesync_job.core.errors import LoginFailedError, SourceInvalidError, SourceUnavailableError
from estimatesync_job.core.ports import EstimateStore, Log, Source
from estimatesync_job.core.queries import IdsQuery

TIME_SHARE: Final = 0.25
"""Of the time that is left when asking begins: the rest is for storing what has been read."""


async def find_deletions(
    source: Source, store: EstimateStore, *, log: Log, max_percent: int, ends_at: float = math.inf
) -> Deletions:
    """Ask for what is stored and was not read; where that is answered in doubt, nothing counts as deleted.

    What has been read is right in any case, so that no doubt keeps it from being stored. By the loop's clock, the sync
    must have ended at `ends_at`.

    Raises:
        SyncError: The database cannot say what is stored.
    """
    absent = await store.fetch_absent()
    asked = len(absent.ids) + len(absent.marked)
    if not asked:
        return Deletions()
    log.write("asking_for_absent", log_lines.format_asking_for_absent(asked), absent=asked)
    shown: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()
    why: str | None = None
    within = max(0.0, ends_at - asyncio.get_running_loop().time()) * TIME_SHARE
    try:
        async with asyncio.timeout(None if math.isinf(within) else within):
            shown = await _find_shown(source, absent)
            gone = await _find_gone(source, absent, max_percent=max_percent)
    except (AbsenceDoubtedError, LoginFailedError, SourceInvalidError, SourceUnavailableError, TimeoutError) as doubt:
        late = f"asking took longer than {within:.0f} s, and the rest of timeoutSeconds is for what was read"
        why = late if isinstance(doubt, TimeoutError) else str(doubt).rstrip(".")
    return Deletions(absent=len(absent.ids), ids=gone, shown=shown, unmarked_because=why)


async def _find_shown(source: Source, absent: Absent) -> tuple[int, ...]:
    """Ask once for what is marked: what is shown needs no witness, and what is not keeps its mark."""

    async def ask(batch: tuple[int, ...]) -> Collection[int]:
        found = await source.fetch_ids(IdsQuery(ids=batch))
        check_found(found, asked=batch)
        return found.ids

    shown: set[int] = set()
    for batch in plan_batches(absent.marked):
        shown |= {*await _ask_in_parts(ask, batch)}
    return tuple(sorted(shown))


async def _find_gone(source: Source, absent: Absent, *, max_percent: int) -> tuple[int, ...]:
    gone: list[int] = []
    for batch in plan_batches(absent.ids):
        gone += await _ask_in_parts(lambda part: _ask(source, absent, part), batch)
        check_bound(len(gone), absent, max_percent=max_percent)
    return tuple(gone)


async def _ask_in_parts(
    ask: Callable[[tuple[int, ...]], Awaitable[Collection[int]]], batch: tuple[int, ...]
) -> list[int]:
    """Ask for all of these, or for a few at once where that would be too many."""
    try:
        return [*await ask(batch)]
    except TooManyIdsError:
        parts = plan_batches(batch, size=MAX_WHOLE_IDS - 2)
        return [number for part in parts for number in await ask(part)]


async def _ask(source: Source, absent: Absent, batch: tuple[int, ...]) -> list[int]:
    """Ask for these until an answer says all: it is whole, and shows what must be there."""
    unseen, attempt, vain = frozenset(batch), 0, 0
    while unseen:
        witnesses = choose_witnesses(absent, attempt)
        asked = plan_question(unseen, witnesses)
        found = await source.fetch_ids(IdsQuery(ids=asked))
        check_found(found, asked=asked)
        left = unseen - found.ids
        if found.is_whole and found.ids.issuperset(witnesses):
            return sorted(left)
        vain = vain + 1 if left == unseen else 0
        if vain == MAX_VAIN:
            raise AbsenceDoubtedError("Attic Tech does not show estimates by their ids that it has just listed")
        unseen, attempt = left, attempt + 1
    return []

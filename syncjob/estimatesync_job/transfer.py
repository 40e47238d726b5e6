"""From the source into the staging table: the pages of the range, then a closing pass, so that nothing is missing.

`sync` starts to read pages as soon as the database allows the login, and runs the transfer up to the merge.
`core.coverage` and `core.closing_pass` decide what to ask for and what that proves.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Final

import msgspec
from estimatesync_contract import log_lines
from estimatesync_contract.timestamps import format_timestamp

from estimatesync_job.core.base import (
    MAX_ASKED_AGAIN,
    MAX_PARTIAL,
    EarlierSync,
    find_base_obstacle,
    find_doubt,
    find_highest_old_id,
)
from estimatesync_job.core.closing_pass import (
    PassPolicy,
    PassResult,
    compute_limit,
    compute_pause,
    is_proof,
    next_result,
    plan_changes,
    plan_continuations,
    plan_pass,
)
from estimatesync_job.core.coverage import FetchState, are_dates_contradicted, find_gap, find_tail, next_state
from estimatesync_job.core.errors import SourceChangingError
from estimatesync_job.core.invalid_records import MAX_NAMED, InvalidRecords, format_name, format_problem_place
from estimatesync_job.core.page_plan import PagePlan
from estimatesync_job.core.pages import FetchedPage
from estimatesync_job.core.ports import EstimateStore, Log, Source, Staged, Transferred
from estimatesync_job.core.queries import ChangesQuery, Gap
from estimatesync_job.core.unshown import Path, check_unshown, find_hidden, format_fields
from estimatesync_job.core.unstorable import leave_out_unstorable
from estimatesync_job.ordered_requests import OrderedRequests, open_requests

ReadPage = tuple[FetchedPage, FetchState]
"""A page, and how far everything has been read with it."""


async def read_pages(source: Source, plan: PagePlan, *, clock: datetime | None) -> AsyncGenerator[ReadPage, None]:
    """Read the pages of the range side by side, and yield them in order.

    Args:
        source: logged in to.
        plan: which pages.
        clock: Attic Tech's, as the login was answered: a page may be asked for again and again, and what changes
            meanwhile has changed since then.

    Raises:
        SyncError: A page cannot be read.
    """
    state = FetchState(plan=plan, began_at=clock)
    async with open_requests(source.fetch_page, max_pending=plan.max_pending) as requests:
        requests.send(plan.build_query, last=1)
        if not await requests.is_answered_within(plan.first_page_wait_seconds):
            requests.send(plan.build_query, last=plan.total_pages)
        while not state.is_over:
            page = await requests.take()
            state = next_state(state, page)
            if not state.is_over:
                requests.send(state.plan.build_query, last=state.plan.total_pages)
            yield page, state


class ClosingPass:
    """One closing pass, its requests under way as far as they may be."""

    def __init__(
        self,
        queries: Iterable[ChangesQuery],
        requests: OrderedRequests[ChangesQuery],
        *,
        cuts: Sequence[int],
        is_numbered: bool,
    ) -> None:
        self._queries: Final = list(queries)
        self._requests: Final = requests
        self._cuts: Final = cuts
        self._is_numbered: Final = is_numbered
        self._send()

    async def store(self, store: EstimateStore, *, note: Callable[[FetchedPage], None]) -> PassResult:
        """Store the responses, and those that continue them; `note` is called with each before it is stored.

        Raises:
            SyncError: Not everything could be read.
        """
        result = PassResult(queries=len(self._queries), since=self._queries[0].since, is_numbered=self._is_numbered)
        # Grows while it is read.
        for query in self._queries:
            response = leave_out_unstorable(await self._requests.take(), encoding=store.encoding)
            self._queries.extend(plan_continuations(query, response, cuts=self._cuts))
            self._send()
            note(response)
            if response.rows:
                await store.write_rows(response.rows)
            result = next_result(result, response)
        return result

    def _send(self) -> None:
        self._requests.send(lambda number: self._queries[number - 1], last=len(self._queries))


@asynccontextmanager
async def open_closing_pass(
    source: Source, queries: Iterable[ChangesQuery], *, cuts: Sequence[int], is_numbered: bool, max_pending: int
) -> AsyncIterator[ClosingPass]:
    """Begin a pass; leaving the block abandons every pending request."""
    async with open_requests(source.fetch_changes, max_pending=max_pending) as requests:
        yield ClosingPass(queries, requests, cuts=cuts, is_numbered=is_numbered)


class Transfer:
    """One reading of the range.

    Attributes:
        is_clock_contradicted: whether what has changed has shown that Attic Tech's clock cannot be relied on.
        are_dates_contradicted: whether two of its clocks were seen to differ.
    """

    def __init__(
        self,
        source: Source,
        store: EstimateStore,
        *,
        log: Log,
        passes: PassPolicy,
        concurrency: int,
        max_skipped_percent: int,
        max_unshown_percent: int,
        clock: datetime | None,
        contradicted_by: "Transfer | None" = None,
    ) -> None:
        """Begin with a source that is logged in to; `clock` is what it showed then.

        A reading before this one may have found that the clock is contradicted.
        """
        self._source: Final = source
        self._store: Final = store
        self._log: Final = log
        self._policy: Final = passes
        self._concurrency: Final = concurrency
        self._invalid: Final = InvalidRecords(max_percent=max_skipped_percent)
        self._max_unshown_percent: Final = max_unshown_percent
        self._evidence: Final[set[Path]] = set()
        self._said: Final[set[str]] = set()
        self._shown: Final[set[int]] = set()
        self._gaps: Final[list[Gap]] = []
        self._cuts: Final[list[int]] = []
        self._passes: Final = AsyncExitStack()
        self.is_clock_contradicted = contradicted_by is not None
        self.are_dates_contradicted: bool = contradicted_by is not None and contradicted_by.are_dates_contradicted
        self._clock: Final = clock
        self._base: EarlierSync | None = None
        self._highest_id: int | None = None
        self._responses = 0
        self._changed = 0

    async def read_changes(self, base: EarlierSync, *, clock: datetime, limit: int) -> Transferred | str:
        """Stage what has changed since an earlier sync: a closing pass that no pages go before.

        Returns:
            Why it proves nothing, where everything must be read after all.

        Raises:
            SyncError: Not everything could be read.
        """
        self._base = base
        queries = plan_changes(base.gaps, since=base.since, clock=clock, limit=limit)
        async with self._passes:
            closing_pass = await self._begin_pass(queries, is_numbered=True)
            result = await closing_pass.store(self._store, note=self._note_changes)
        if result.is_clock_contradicted:
            self.is_clock_contradicted = True
            return "a stamp or a response contradicts Attic Tech's clock"
        if not result.is_numbered:
            return "the ids are no numbers"
        self._shown.update(self._invalid.numbers)
        if lost := [number for number in base.witnesses if number not in self._shown]:
            return f"Attic Tech does not show estimate {lost[0]}, which it showed before"
        hidden = find_hidden(self._evidence)
        # What the base's records did not show, none of these shows either, though it may seem to be none.
        kept = tuple(dict.fromkeys((*base.hidden, *hidden)))
        staged = await self._store.finish_staging(hidden=kept, broken=self._invalid.numbers)
        doubt = find_doubt(
            base,
            hidden=hidden,
            evidence=self._evidence,
            partial=frozenset(staged.partial),
            complete=frozenset(self._shown.difference(staged.partial, self._invalid.numbers)),
        )
        if doubt:
            return doubt
        self._note_id(base.highest_id)
        return self._end(result, pages=result.responses, hidden=kept, staged=staged, base=base)

    async def run(self, first: Awaitable[ReadPage], pages: AsyncGenerator[ReadPage, None]) -> Transferred:
        """Stage every estimate of the range; the first page has been requested already.

        Raises:
            SyncError: Not everything could be read.
        """
        closing_pass: ClosingPass | None = None
        edge: FetchedPage | None = None
        async with self._passes:
            page, state = await first
            while True:
                self._note_ids(edge, page)
                edge = state.edge
                if closing_pass is None and state.is_nearly_read:
                    closing_pass = await self._begin_first_pass(state)
                await self._store_page(page, state)
                if closing_pass and state.is_over:
                    return await self._close(state, closing_pass)
                page, state = await anext(pages)

    def _note_ids(self, edge: FetchedPage | None, page: FetchedPage) -> None:
        if gap := find_gap(edge, page):
            self._gaps.append(gap)
        if isinstance(page.first, int) and (not self._cuts or page.first < self._cuts[-1]):
            self._cuts.append(page.first)

    async def _begin_first_pass(self, state: FetchState) -> ClosingPass:
        """Begin to ask for what is unproven; below the newest page lies the last one, if that is still on its way."""
        queries = plan_pass(
            (*self._gaps, find_tail(state.edge)),
            clock=None if state.is_clock_contradicted else state.began_at,
            limit=compute_limit(state),
            is_numbered=state.is_numbered,
        )
        return await self._begin_pass(queries, is_numbered=state.is_numbered)

    async def _begin_next_pass(self, result: PassResult, *, limit: int) -> ClosingPass:
        """Begin to ask for what has changed since the last pass began, or come above all ids of the pages."""
        clock = None if result.is_clock_contradicted else result.began_at
        above = [gap for gap in self._gaps if gap.below is None] or [Gap(below=None, above=None)]
        queries = plan_pass(above, clock=clock, limit=limit, is_numbered=result.is_numbered)
        return await self._begin_pass(queries, is_numbered=result.is_numbered)

    async def _begin_pass(self, queries: Iterable[ChangesQuery], *, is_numbered: bool) -> ClosingPass:
        closing_pass = open_closing_pass(
            self._source, queries, cuts=self._cuts, is_numbered=is_numbered, max_pending=self._concurrency
        )
        return await self._passes.enter_async_context(closing_pass)

    async def _store_page(self, page: FetchedPage, state: FetchState) -> None:
        page = leave_out_unstorable(page, encoding=self._store.encoding)
        self._log_page(page, max(state.plan.total_pages, page.page))
        self._note(page)
        self._invalid.check(max(state.plan.total_records, state.records))
        await self._store.write_rows(page.rows)
        message = log_lines.format_page_complete(page.page, state.records)
        self._log.write("page_complete", message, page=page.page, fetched=state.records)

    def _log_page(self, page: FetchedPage, total_pages: int) -> None:
        message = log_lines.format_page(page.page, total_pages, page.records)
        self._log.write("page", message, page=page.page, total_pages=total_pages, records=page.records)
        if page.page == total_pages and page.records < page.limit:
            self._log.write("last_page", log_lines.format_last_page(page.records, page.limit), page=page.page)

    def _note_changes(self, response: FetchedPage) -> None:
        """Show the responses of a sync of changes as its pages."""
        self._note(response)
        self._shown.update(response.rows.ids)
        self._responses += 1
        self._changed += response.records
        page = msgspec.structs.replace(response, page=self._responses)
        self._log_page(page, max(self._responses, response.total_pages or 1))
        message = log_lines.format_page_complete(self._responses, self._changed)
        self._log.write("page_complete", message, page=self._responses, fetched=self._changed)

    def _note(self, page: FetchedPage) -> None:
        self._evidence.update(page.evidence)
        self.are_dates_contradicted = self.are_dates_contradicted or are_dates_contradicted(page)
        ids = ((row.attic_tech_estimate_id, row.at_created_date) for row in page.rows)
        since = self._base.since if self._base else None
        self._note_id(find_highest_old_id(ids, clock=self._clock, since=since))
        self._note_unshown(page)
        for placed in self._invalid.add(page):
            problem = placed.problem
            fault, place = f"{problem.field} {problem.problem}", format_problem_place(placed)
            message = log_lines.format_skipped(format_name(placed), fault, place)
            self._log.write("skipped", message, level="warning", record_id=problem.record_id, page=placed.page)

    async def _close(self, state: FetchState, closing_pass: ClosingPass) -> Transferred:
        """Store what a pass brings; where that does not prove that this is all, ask again in a while."""
        passes = 0
        is_contradicted = self.is_clock_contradicted or state.is_clock_contradicted
        while True:
            known = self._store.staged
            result = await closing_pass.store(self._store, note=self._note)
            # A clock that any response contradicts is relied on no more, whichever passes follow.
            is_contradicted = is_contradicted or result.is_clock_contradicted
            result = msgspec.structs.replace(result, is_clock_contradicted=is_contradicted)
            changes = await self._store.count_changes(known)
            if changes:
                self._log.write("changes", log_lines.format_changes(changes), records=changes)
            if is_proof(result, new_or_changed=changes):
                hidden = find_hidden(self._evidence) if self._store.staged else ()
                staged = await self._store.finish_staging(hidden=hidden, broken=self._invalid.numbers)
                # Where clocks differ, nobody knows which one says when the pass began.
                began_at = None if self.are_dates_contradicted else result.began_at
                result = msgspec.structs.replace(result, began_at=began_at)
                return self._end(result, pages=state.pages, hidden=hidden, staged=staged)
            if not result.is_numbered:
                passes += 1
                await self._pause(passes)
            closing_pass = await self._begin_next_pass(result, limit=compute_limit(state))

    async def _pause(self, passes: int) -> None:
        """Wait before another pass.

        Raises:
            SourceChangingError: There is no time left for one.
        """
        remaining = self._policy.ends_at - asyncio.get_running_loop().time()
        pause = compute_pause(self._policy, passes=passes, remaining=remaining)
        if pause is None:
            raise SourceChangingError(
                "Attic Tech changes faster than it can be read: its ids are not numbers, so that only a moment without "
                f"a change proves that nothing is missing, and {passes} closing passes until the end of this sync's "
                "time found none. Nothing was stored; sync again in a quieter hour, or raise timeoutSeconds."
            )
        await asyncio.sleep(pause)

    def _end(
        self,
        result: PassResult,
        *,
        pages: int,
        hidden: tuple[str, ...],
        staged: Staged,
        base: EarlierSync | None = None,
    ) -> Transferred:
        """Judge what is staged, of what a pass has proved; as a part of all that is stored, where there is a base.

        Raises:
            SyncError: Too much of it is broken, or not shown.
        """
        records = staged.estimates + self._invalid.count
        known = base.stored_estimates if base else 0
        self._invalid.check(max(records, known))
        self._log_skipped_total(records)
        self._judge_unshown(staged, hidden, estimates=max(staged.estimates, known))
        if complete_as_of := result.began_at:
            instant = format_timestamp(complete_as_of)
            message = log_lines.format_complete_as_of(instant)
            self._log.write("complete_as_of", message, complete_as_of=instant)
        return Transferred(
            pages=pages,
            records=records,
            skipped=self._invalid.count,
            skipped_ids=self._invalid.ids,
            complete_as_of=complete_as_of,
            hidden=hidden,
            unshown=staged.unshown,
            base=base,
            highest_id=self._highest_id,
            ask_again=(*self._invalid.numbers[:MAX_ASKED_AGAIN], *staged.partial[-MAX_PARTIAL:]),
            no_base_because=find_base_obstacle(
                complete_as_of=complete_as_of,
                is_clock_contradicted=result.is_clock_contradicted,
                is_numbered=result.is_numbered,
                has_old_id=self._highest_id is not None or not staged.estimates,
                invalid=self._invalid,
            ),
        )

    def _note_id(self, highest: int | None) -> None:
        self._highest_id = max(self._highest_id or 0, highest or 0) or None

    def _note_unshown(self, page: FetchedPage) -> None:
        for identity, columns in page.rows.unshown.items():
            if unsaid := [column for column in columns if column not in self._said]:
                self._said.update(unsaid)
                message = log_lines.format_only_id(format_fields(unsaid), str(identity))
                self._log.write("only_id", message, level="warning", record_id=str(identity), page=page.page)

    def _judge_unshown(self, staged: Staged, hidden: Sequence[str], *, estimates: int) -> None:
        unshown = staged.unshown
        if any(column in unshown.columns for column in hidden):
            message = log_lines.format_unshown(unshown.estimates, estimates, ", ".join(unshown.fields))
            self._log.write("unshown", message, level="warning", unshown=unshown.estimates, records=estimates)
        check_unshown(unshown, estimates=estimates, max_percent=self._max_unshown_percent)

    def _log_skipped_total(self, records: int) -> None:
        if skipped := self._invalid.count:
            names = ", ".join(self._invalid.ids) + (", …" if skipped > MAX_NAMED else "")
            message = log_lines.format_skipped_total(skipped, records, names)
            self._log.write("skipped_total", message, level="warning", skipped=skipped, records=records)

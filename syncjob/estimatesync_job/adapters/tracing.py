"""The sync's ports with traces: each forwards to the real one and records the call as a span.

`main` wraps the real ones only while tracing is on; the sync itself does not know about it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Final

from estimatesync_contract.refused_login import RefusedLogin
from estimatesync_contract.result import ResultError
from estimatesync_contract.status import Results
from estimatesync_tracing.context import format_span_id, format_trace_id
from estimatesync_tracing.log_fields import SPAN_ID, TRACE_ID
from estimatesync_tracing.spans import Attribute, Span, SpanKind, SpanName, Tracer

from estimatesync_job.core.base import EarlierSync
from estimatesync_job.core.deletions import Absent, FoundIds
from estimatesync_job.core.pages import FetchedPage
from estimatesync_job.core.ports import (
    EstimateStore,
    Level,
    Log,
    OpenSource,
    OpenStore,
    Source,
    Staged,
    StoredRun,
    Transferred,
)
from estimatesync_job.core.queries import ChangesQuery, IdsQuery, PageQuery
from estimatesync_job.core.rows import Rows


class TracedLog:
    """A Log whose lines name their span, and whose warnings become events of it."""

    def __init__(self, log: Log, tracer: Tracer) -> None:
        self._log: Final = log
        self._tracer: Final = tracer

    def write(self, action: str, message: str, *, level: Level = "info", **fields: str | float) -> None:
        if level != "info":
            self._tracer.event(action, fields)
        if context := self._tracer.find_current():
            fields |= {TRACE_ID: format_trace_id(context), SPAN_ID: format_span_id(context)}
        self._log.write(action, message, level=level, **fields)


class TracedSource:
    """A Source whose every call is a span, retries included."""

    def __init__(self, source: Source, tracer: Tracer) -> None:
        self._source: Final = source
        self._tracer: Final = tracer

    async def login(self) -> datetime | None:
        with self._tracer.span(SpanName.LOGIN, kind=SpanKind.CLIENT):
            return await self._source.login()

    async def fetch_page(self, query: PageQuery) -> FetchedPage:
        with self._tracer.span(SpanName.FETCH_PAGE, kind=SpanKind.CLIENT) as span:
            span.note({Attribute.PAGE: query.page})
            return _note_page(span, await self._source.fetch_page(query))

    async def fetch_changes(self, query: ChangesQuery) -> FetchedPage:
        with self._tracer.span(SpanName.FETCH_CHANGES, kind=SpanKind.CLIENT) as span:
            return _note_page(span, await self._source.fetch_changes(query))

    async def fetch_ids(self, query: IdsQuery) -> FoundIds:
        with self._tracer.span(SpanName.FETCH_IDS, kind=SpanKind.CLIENT) as span:
            found = await self._source.fetch_ids(query)
            span.note({Attribute.RECORDS: len(found.ids)})
            return found


class TracedStore:
    """An EstimateStore whose every write is a span."""

    def __init__(self, store: EstimateStore, tracer: Tracer) -> None:
        self._store: Final = store
        self._tracer: Final = tracer

    @property
    def encoding(self) -> str:
        return self._store.encoding

    @property
    def staged(self) -> int:
        return self._store.staged

    async def fetch_committed_run(self) -> StoredRun | None:
        return await self._store.fetch_committed_run()

    async def fetch_earlier_sync(self) -> EarlierSync | None:
        return await self._store.fetch_earlier_sync()

    async def fetch_refused_login(self) -> RefusedLogin | None:
        return await self._store.fetch_refused_login()

    async def write_refused_login(self, refusal: RefusedLogin) -> None:
        await self._store.write_refused_login(refusal)

    async def write_failed_run(self, error: ResultError) -> None:
        await self._store.write_failed_run(error)

    async def write_rows(self, rows: Rows) -> None:
        with self._tracer.span(SpanName.COPY, kind=SpanKind.CLIENT, attributes={Attribute.RECORDS: len(rows)}):
            await self._store.write_rows(rows)

    async def count_changes(self, known: int) -> int:
        return await self._store.count_changes(known)

    async def finish_staging(self, *, hidden: Sequence[str], broken: Sequence[int]) -> Staged:
        return await self._store.finish_staging(hidden=hidden, broken=broken)

    async def fetch_absent(self) -> Absent:
        return await self._store.fetch_absent()

    async def merge(self, transferred: Transferred) -> StoredRun:
        with self._tracer.span(SpanName.MERGE, kind=SpanKind.CLIENT) as span:
            run = await self._store.merge(transferred)
            note_results(span, run.results)
            return run


@asynccontextmanager
async def open_traced_source(open_source: OpenSource, tracer: Tracer) -> AsyncIterator[Source]:
    """Open the source."""
    async with open_source as source:
        yield TracedSource(source, tracer)


@asynccontextmanager
async def open_traced_store(open_store: OpenStore, tracer: Tracer) -> AsyncIterator[EstimateStore]:
    """Open the store; connecting is a span, because it takes a while."""
    async with AsyncExitStack() as stack:
        with tracer.span(SpanName.CONNECT, kind=SpanKind.CLIENT):
            store = await stack.enter_async_context(open_store)
        yield TracedStore(store, tracer)


def note_results(span: Span, results: Results) -> None:
    """Add the counts of what was stored."""
    span.note(
        {
            Attribute.FETCHED: results.total_fetched,
            Attribute.NEW: results.new_estimates,
            Attribute.UPDATED: results.updated_estimates,
            Attribute.UNCHANGED: results.unchanged_estimates,
            Attribute.SKIPPED: results.skipped_estimates,
        }
    )


def _note_page(span: Span, page: FetchedPage) -> FetchedPage:
    span.note({Attribute.RECORDS: page.records, Attribute.BYTES: page.size_bytes})
    return page

"""Composes the program: environment in, sync, then log, result file and exit code out.

The result is written last of all, after the commit, so that a success in it can be trusted.
"""

import asyncio
import gc
import io
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from estimatesync_contract import log_lines
from estimatesync_contract.job_environment import ATTIC_TECH_URL, DATABASE_URL, SYNC_ID, SYNC_UID, TRACEPARENT
from estimatesync_contract.legacy_settings import accept_old_names
from estimatesync_contract.proxies import format_skipped_exceptions
from estimatesync_contract.refused_login import Credentials
from estimatesync_contract.result import ExitCode, SyncResult, build_result_bytes
from estimatesync_contract.settings import SettingsReader
from estimatesync_contract.spec import Mode
from estimatesync_contract.status import Results
from estimatesync_contract.tls_trust import name_system_authorities
from estimatesync_tracing.context import parse_traceparent
from estimatesync_tracing.settings import read_tracing_settings
from estimatesync_tracing.setup import NO_TRACER, create_tracer
from estimatesync_tracing.spans import Attribute, Span, SpanName, Tracer

from estimatesync_job.adapters.database import open_postgres
from estimatesync_job.adapters.log import create_log
from estimatesync_job.adapters.tracing import TracedLog, note_results, open_traced_source, open_traced_store
from estimatesync_job.core.closing_pass import PassPolicy
from estimatesync_job.core.errors import Failure, InterruptedSyncError, SyncError, build_failure
from estimatesync_job.core.page_plan import build_plan
from estimatesync_job.core.ports import Log, OpenSource, OpenStore, Source, StoredRun
from estimatesync_job.settings import (
    Settings,
    parse_identity,
    parse_log_format,
    parse_mode,
    parse_result_path,
    parse_settings,
)
from estimatesync_job.sync import Sync

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
STOP_SECONDS: Final = 3.0
"""How long a sync that is stopped may take to clean up, well within any grace period."""

TRACING_SECONDS: Final = 2.0
"""How long to wait at the end for the last spans to be sent; the result is written by then."""

_NOTHING_STORED: Final = StoredRun(results=Results())


def main() -> ExitCode:
    """Run one sync by the settings in the environment, and report its outcome in log, result and exit code."""
    started = time.monotonic()
    name_system_authorities(os.environ)
    # Sentences contain emoji, whatever the locale, and each line must be readable at once.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    log = create_log(parse_log_format(os.environ), sys.stdout, sync_id=os.environ.get(SYNC_ID, ""))
    tracer = _open_tracer(os.environ, log)
    log = TracedLog(log, tracer) if tracer.is_on else log
    with tracer.span(SpanName.RUN, parent=parse_traceparent(os.environ.get(TRACEPARENT))) as span:
        outcome = _run(os.environ, log, tracer)
        _note_outcome(span, os.environ, outcome)
    _write_result(os.environ, log, outcome, seconds=time.monotonic() - started)
    tracer.close(seconds=TRACING_SECONDS)
    return outcome.exit_code if isinstance(outcome, Failure) else ExitCode.DONE


def _open_tracer(environment: Mapping[str, str], log: Log) -> Tracer:
    """Create the tracer; settings of tracing that cannot be used are logged, but do not fail the sync."""

    def warn(message: str) -> None:
        log.write("tracing", f"⚠️ [SYNC] {message}", level="warning")

    reader = SettingsReader(environment)
    settings = read_tracing_settings(reader)
    if reader.faults:
        warn(f"No traces: {'; '.join(reader.faults)}")
        return NO_TRACER
    tracer = create_tracer(settings, part="sync", warn=warn)
    tracer.open()
    return tracer


def _note_outcome(span: Span, environment: Mapping[str, str], outcome: StoredRun | Failure) -> None:
    names = {Attribute.SYNC_ID: SYNC_ID, Attribute.SYNC_UID: SYNC_UID}
    span.note({attribute: environment.get(name, "") for attribute, name in names.items()})
    if isinstance(outcome, Failure):
        span.fail(outcome.error.reason)
    else:
        note_results(span, outcome.results)


def _run(environment: Mapping[str, str], log: Log, tracer: Tracer) -> StoredRun | Failure:
    old = accept_old_names(environment, (ATTIC_TECH_URL, DATABASE_URL))
    for note in old.notes:
        log.write("old_name", f"⚠️ [SYNC] {note}", level="warning")
    try:
        settings = parse_settings(old.environment, faults=old.faults)
        if skipped := format_skipped_exceptions(old.environment, settings.attic_tech_url):
            log.write("proxy_exceptions", f"⚠️ [SYNC] {skipped}", level="warning")
        return asyncio.run(_sync_until_stopped(settings, log, tracer))
    except SyncError as error:
        failure = build_failure(error)
    except Exception as error:  # noqa: BLE001 - the result file must report every failure
        failure = build_failure(error)
        log.write("defect", traceback.format_exc(), level="error")
    reason, message = failure.error.reason.value, log_lines.format_failure(failure.error.message)
    log.write("failed", message, level="error", reason=reason)
    return failure


async def _sync_until_stopped(settings: Settings, log: Log, tracer: Tracer) -> StoredRun:
    """Sync; SIGTERM or SIGINT undoes it, unless the commit has already begun.

    Raises:
        SyncError: Nothing was stored.
    """
    ends_at = asyncio.get_running_loop().time() + (settings.timeout_seconds or math.inf)
    loading = asyncio.create_task(asyncio.to_thread(_load_source, settings, log, ends_at=ends_at))
    sync = _create_sync(settings, log, tracer, loading, ends_at=ends_at)
    run = asyncio.create_task(sync.run())
    # What cannot be loaded is wrong for good: no database that cannot be reached is waited for.
    loading.add_done_callback(lambda _: run.cancel() if _find_fault(loading) else None)
    with _stop_signals() as stop:
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({run, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not run.done():
            run.cancel()
            await asyncio.wait({run}, timeout=STOP_SECONDS)
    if sync.stored is not None:
        return sync.stored
    if not stop.is_set():
        # A database that refuses at once must not hide what is wrong with the settings.
        await asyncio.wait({loading})
    fault = _find_fault(loading) or _find_fault(run)
    if fault is None or stop.is_set():
        outcome = "Nothing was stored" if run.done() else "What it had not committed is undone"
        raise InterruptedSyncError(f"The sync was told to stop before it had finished. {outcome}.")
    raise fault


def _find_fault(task: asyncio.Task[Any]) -> BaseException | None:
    """Find what a task has failed with, if it has ended on its own."""
    return task.exception() if task.done() and not task.cancelled() else None


@contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """Turn signals into an event. Before and after, they are held back: a known result must be written."""
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    try:
        yield stop
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def _create_sync(
    settings: Settings, log: Log, tracer: Tracer, loading: asyncio.Task[OpenSource], *, ends_at: float
) -> Sync:
    open_source: OpenSource = _open_loaded(loading)
    open_store: OpenStore = open_postgres(settings)
    return Sync(
        open_source=open_traced_source(open_source, tracer) if tracer.is_on else open_source,
        open_store=open_traced_store(open_store, tracer) if tracer.is_on else open_store,
        log=log,
        plan=build_plan(page_size=settings.page_size, ahead=settings.concurrency),
        passes=PassPolicy(ends_at=ends_at),
        max_skipped_percent=settings.max_skipped_percent,
        max_unshown_percent=settings.max_unshown_percent,
        min_estimates=settings.min_estimates,
        max_deleted_percent=settings.max_deleted_percent,
        credentials=Credentials(
            url=settings.attic_tech_url,
            email=settings.attic_tech_email,
            password=settings.attic_tech_password,
            retry=settings.login_retry,
        ),
        mode=settings.mode,
    )


@asynccontextmanager
async def _open_loaded(loading: asyncio.Task[OpenSource]) -> AsyncIterator[Source]:
    async with await loading as source:
        # From here on there is little to collect, and nothing in what has been imported.
        gc.freeze()
        gc.enable()
        yield source


def _load_source(settings: Settings, log: Log, *, ends_at: float) -> OpenSource:
    """Load the HTTP client, in a thread: meanwhile the database is connected to and answers.

    Raises:
        ConfigurationError: The authorities to trust cannot be read.
    """
    with _absent("click"):
        from estimatesync_job.adapters.attic_tech import create_client, open_attic_tech  # noqa: PLC0415 - see above
    # httpcore looks for it with each lock that it takes, in all folders as long as it is in none.
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]  # None is what Python takes for absent
    return open_attic_tech(settings, log=log, client=create_client(settings), ends_at=ends_at)


@contextmanager
def _absent(package: str) -> Iterator[None]:
    """Hide a package: where httpx finds those of its command line, it loads them all, which takes as long as itself."""
    is_hidden = package not in sys.modules
    if is_hidden:
        sys.modules[package] = None  # type: ignore[assignment]  # None is what Python takes for absent
    try:
        yield
    finally:
        if is_hidden:
            del sys.modules[package]


def _write_result(environment: Mapping[str, str], log: Log, outcome: StoredRun | Failure, *, seconds: float) -> None:
    """Write the result; without a uid and a range only the log and the exit code report."""
    if (identity := parse_identity(environment)) is None:
        return
    sync_uid, date_range = identity
    error, stored = (outcome.error, _NOTHING_STORED) if isinstance(outcome, Failure) else (None, outcome)
    is_of_changes = error is None and parse_mode(environment) is Mode.CHANGES
    result = SyncResult(
        sync_uid=sync_uid,
        date_range=date_range,
        results=stored.results,
        seconds=round(seconds, 3),
        pages=stored.pages,
        complete_as_of=stored.complete_as_of,
        skipped_ids=stored.skipped_ids,
        unshown=stored.unshown,
        mode=stored.mode if is_of_changes else None,
        whole_because=stored.whole_because,
        unmarked_because=stored.unmarked_because,
        error=error,
    )
    path = parse_result_path(environment)
    try:
        # Written in place: the kubelet mounts this very file, so no other may replace it.
        path.write_bytes(build_result_bytes(result))
    except OSError as fault:
        message = f"⚠️ [SYNC] The result cannot be written to {path} ({fault.strerror})"
        log.write("result_unwritten", message, level="warning")

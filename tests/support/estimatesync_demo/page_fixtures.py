"""Made-up syncs of three weeks at a fixed moment, and the status page over them: always the same.

Pictures of the page and its tests show them; gunicorn serves `create()`. Nothing is stored and nothing runs.
"""

import math
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from estimatesync_api.app import Asgi, create_app
from estimatesync_api.core.listing import SyncPage, SyncQuery, Work, build_page, find_phase
from estimatesync_api.core.ports import LogCursor, LogPart
from estimatesync_api.core.problems import StoreUnavailableError
from estimatesync_api.settings import parse_settings
from estimatesync_contract import log_lines
from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.names import build_sync_name
from estimatesync_contract.spec import DateRange, EstimateSyncSpec
from estimatesync_contract.status import (
    CallbackAttemptRecord,
    CallbackState,
    CallbackStatus,
    EstimateSyncStatus,
    Phase,
    QueuePlace,
    Results,
    build_progress,
)

NOW: Final = datetime(2026, 11, 24, 19, 9, 42, tzinfo=UTC)
_QUEUED_AT: Final = NOW - timedelta(seconds=75)
KEY: Final = "made-up-key-for-the-pictures"
RUNNING: Final = "est-20261124-190512000-k3x9q2ab"
FAILED: Final = "est-20261124-050000000-q2ab7m1c"
WAITING: Final = build_sync_name(_QUEUED_AT, "m7d2")

_EVERY: Final = timedelta(hours=8)
_FIRST: Final = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
_COUNT: Final = 58
_FAILURES: Final = {
    1: (Reason.LOGIN_FAILED, "Login to Attic Tech failed: Invalid credentials"),
    23: (Reason.SOURCE_UNAVAILABLE, "Attic Tech did not answer: 503 Service Unavailable (gave up after 3 runs)"),
    24: (Reason.SOURCE_UNAVAILABLE, "Attic Tech did not answer: 503 Service Unavailable (gave up after 3 runs)"),
}
_GONE: Final = "HTTP 410: the webhook is gone; correct the callback URL"
_QUEUE_FULL: Final = "HTTP 400: the webhook's queue is full; run its scenario or clear the queue in Make.com"
_CANCELLED: Final = 31
_UNDELIVERED: Final = 50
"""Not among those that the summary of the list is built from."""
UNDELIVERED: Final = build_sync_name(_FIRST - _UNDELIVERED * _EVERY, f"a{_UNDELIVERED}")

AWAY: Final = "PAGE_STORE_AWAY"
"""Names a file; while it is there, the store is unavailable."""


def list_syncs() -> list[EstimateSync]:
    """All of them, newest first."""
    return [_build_queued(), _build_running(), *(_build_ended(number) for number in range(_COUNT))]


def list_lines(name: str) -> tuple[str, ...]:
    """What a sync has printed, in the words of the sync program."""
    if name == FAILED:
        return (log_lines.STARTING, log_lines.LOGGING_IN, log_lines.format_failure(_FAILURES[1][1]))
    if name == WAITING:
        return ()
    return tuple(_iterate_lines(pages=9 if name == RUNNING else 17))


def _build_queued() -> EstimateSync:
    created_at = _QUEUED_AT
    message, queue = f"Position 1; waiting for {RUNNING}", QueuePlace(position=1, ahead=(RUNNING,))
    status = EstimateSyncStatus(phase=Phase.QUEUED, reason=Reason.QUEUED, message=message, queue=queue)
    days = DateRange(start=date(2026, 8, 1), end=date(2026, 8, 31))
    return _build(WAITING, created_at, days, status)


def _build_running() -> EstimateSync:
    created_at = NOW - timedelta(seconds=270)
    status = EstimateSyncStatus(
        phase=Phase.RUNNING,
        reason=Reason.RUNNING,
        message="Page 9/17, 900 estimates so far",
        start_time=created_at + timedelta(seconds=1),
        job_name="estimatesync-0b9f2c1e-5a6d-4f0e-9d57-1c2f5f0f7a11",
        pod_name="estimatesync-0b9f2c1e-5a6d-4f0e-9d57-1c2f5f0f7a11-x7k2p",
        runs=1,
        progress=build_progress(page=9, total_pages=17, fetched=900),
    )
    return _build(RUNNING, created_at, _last_days(created_at), status)


def _build_ended(number: int) -> EstimateSync:
    """Build a sync from its number alone: the pictures are the same each time."""
    created_at = _FIRST - number * _EVERY
    seconds = 300 if number in _FAILURES else int(470 + 90 * math.sin(number * 1.9) + 2 * number % 37)
    name = FAILED if number == 1 else build_sync_name(created_at, f"a{number:02}")
    start, end = created_at + timedelta(seconds=1), created_at + timedelta(seconds=1 + seconds)
    ended = EstimateSyncStatus(
        start_time=start,
        completion_time=end,
        duration_seconds=seconds,
        runs=1,
        callback=_build_callback(number, end),
    )
    status = _judge(number, ended)
    return _build(name, created_at, _last_days(created_at), status)


def _judge(number: int, ended: EstimateSyncStatus) -> EstimateSyncStatus:
    replace = msgspec.structs.replace
    if number in _FAILURES:
        reason, message = _FAILURES[number]
        return replace(ended, phase=Phase.FAILED, reason=reason, message=message)
    if number == _CANCELLED:
        return replace(ended, phase=Phase.CANCELLED, reason=Reason.CANCELLED)
    return replace(ended, phase=Phase.SUCCEEDED, reason=Reason.SUCCEEDED, results=_build_results(number))


def _build_results(number: int) -> Results:
    new = 24 + (number * 17) % 41
    updated = 1540 + (number * 29) % 53
    return Results(
        total_fetched=new + updated,
        new_estimates=new,
        updated_estimates=updated,
        unchanged_estimates=updated - 180 - number,
        total_processed=new + updated,
    )


def _build_callback(number: int, end: datetime) -> CallbackStatus:
    if number == 1:
        attempts = tuple(_iterate_attempts(end))
        return CallbackStatus(
            state=CallbackState.RETRYING,
            id="msg_5d1b6c1a-90d4-4b5e-8a54-1f2f6b0f2a77",
            attempts=len(attempts),
            last_attempt_time=attempts[-1].time,
            next_attempt_time=attempts[-1].time + timedelta(hours=10),
            last_status_code=400,
            last_error=_QUEUE_FULL,
            history=attempts,
        )
    if number == _UNDELIVERED:
        attempt = CallbackAttemptRecord(time=end + timedelta(seconds=1), status_code=410, error=_GONE)
        return CallbackStatus(
            state=CallbackState.FAILED,
            id=f"msg_00000000-0000-4000-8000-{number:012}",
            attempts=1,
            last_attempt_time=attempt.time,
            last_status_code=attempt.status_code,
            last_error=attempt.error,
            history=(attempt,),
        )
    return CallbackStatus(
        state=CallbackState.DELIVERED,
        id=f"msg_00000000-0000-4000-8000-{number:012}",
        attempts=1,
        last_attempt_time=end + timedelta(seconds=1),
        last_status_code=200,
    )


def _iterate_attempts(end: datetime) -> Iterator[CallbackAttemptRecord]:
    """An outage of the receiver first, then a queue that is full."""
    waits = (1, 7, 40, 170, 800, 2700, 6400, 13700, 28200)
    for number, seconds in enumerate(waits):
        at = end + timedelta(seconds=seconds)
        if number < 2:  # noqa: PLR2004 - the first two met a receiver that was away
            yield CallbackAttemptRecord(time=at, error="the connection was refused")
        else:
            yield CallbackAttemptRecord(time=at, status_code=400, error=_QUEUE_FULL)


def _last_days(moment: datetime) -> DateRange:
    return DateRange(start=moment.date() - timedelta(days=45), end=moment.date())


def _build(name: str, created_at: datetime, days: DateRange, status: EstimateSyncStatus) -> EstimateSync:
    metadata = Metadata(name=name, uid="0b9f2c1e-5a6d-4f0e-9d57-1c2f5f0f7a11", creation_timestamp=created_at)
    return EstimateSync(metadata=metadata, spec=EstimateSyncSpec(date_range=days), status=status)


def _iterate_lines(*, pages: int) -> Iterator[str]:
    yield from (log_lines.STARTING, log_lines.LOGGING_IN, log_lines.LOGGED_IN)
    for page in range(1, pages + 1):
        yield log_lines.format_fetching(page)
        yield log_lines.format_received(page, 46_000 + 811 * page)
        yield log_lines.format_page(page, 17, 100)
        yield log_lines.format_page_complete(page, 100 * page)


class FixtureStore:
    """A SyncStore that knows these syncs and nothing else; while the file `away` is there, it is unavailable."""

    def __init__(self, *, away: Path | None = None) -> None:
        self._away = away
        self._syncs = {sync.name: sync for sync in list_syncs()}

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def check(self) -> None:
        pass

    async def create(self, sync: EstimateSync) -> EstimateSync:
        return sync

    async def fetch(self, name: str) -> EstimateSync | None:
        self._require_there()
        return self._syncs.get(name)

    async def find_active(self, _work: Work) -> str | None:
        return None

    async def find_ended(self, names: Collection[str]) -> frozenset[str]:
        return frozenset(name for name in names if self._syncs[name].is_finished)

    async def list_page(self, query: SyncQuery) -> SyncPage:
        self._require_there()
        return build_page([sync for sync in self._syncs.values() if find_phase(sync) in query.phases], query.limit)

    def _require_there(self) -> None:
        if self._away is not None and self._away.exists():
            raise StoreUnavailableError

    async def count_phases(self) -> Mapping[Phase, int]:
        return Counter(map(find_phase, self._syncs.values()))

    async def request_cancel(self, name: str, *, by: str) -> EstimateSync | None:  # noqa: ARG002 - the seam's parameters
        return self._syncs.get(name)

    async def annotate(self, sync: EstimateSync, annotations: Mapping[str, str]) -> EstimateSync | None:  # noqa: ARG002 - the seam's parameters
        return sync

    async def read_log(self, sync: EstimateSync) -> tuple[str, ...]:
        return list_lines(sync.name)

    async def read_log_part(self, sync: EstimateSync, cursor: LogCursor | None) -> LogPart:
        return LogPart(lines=() if cursor else list_lines(sync.name), cursor=LogCursor(source="log"))


def create() -> Asgi:
    """Build the app for gunicorn."""
    settings = parse_settings({"API_KEYS": f"night-shift:{KEY}", "TIME_ZONE": "America/New_York", **os.environ})
    away = os.environ.get(AWAY)
    return create_app(settings, FixtureStore(away=Path(away) if away else None), clock=lambda: NOW)

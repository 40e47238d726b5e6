"""Syncs in each state that the page may show, and a localizer for each of its languages."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from estimatesync_api.status_page.core.localization import Localizer
from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.spec import DateRange, EstimateSyncSpec
from estimatesync_contract.status import (
    CallbackState,
    CallbackStatus,
    EstimateSyncStatus,
    Phase,
    QueuePlace,
    Results,
    build_progress,
)

NOW = datetime(2025, 10, 17, 2, 30, 15, tzinfo=UTC)
CREATED = NOW - timedelta(minutes=10)
STATUSES: dict[str, dict[str, Any]] = {
    "unseen": {},
    "queued": {
        "phase": Phase.QUEUED,
        "reason": Reason.QUEUED,
        "message": "Position 2; waiting for est-1",
        "queue": QueuePlace(position=2, ahead=("est-1",)),
    },
    "running": {
        "phase": Phase.RUNNING,
        "reason": Reason.RUNNING,
        "start_time": CREATED + timedelta(seconds=3),
        "job_name": "estimatesync-1",
        "progress": build_progress(page=9, total_pages=17, fetched=1900),
    },
    "stalled": {
        "phase": Phase.RUNNING,
        "reason": Reason.IMAGE_PULL_FAILED,
        "message": "The sync image is not available. Check its name: it is not there",
        "start_time": CREATED + timedelta(seconds=3),
        "job_name": "estimatesync-1",
    },
    "succeeded": {
        "phase": Phase.SUCCEEDED,
        "reason": Reason.SUCCEEDED,
        "start_time": CREATED + timedelta(seconds=3),
        "completion_time": CREATED + timedelta(seconds=490),
        "duration_seconds": 487,
        "job_name": "estimatesync-1",
        "results": Results(total_fetched=1609, new_estimates=45, updated_estimates=1564, unchanged_estimates=1500),
        "callback": CallbackStatus(state=CallbackState.DELIVERED, attempts=1, last_status_code=200, id="msg_1"),
    },
    "failed": {
        "phase": Phase.FAILED,
        "reason": Reason.LOGIN_FAILED,
        "message": "Login to Attic Tech failed: Invalid credentials",
        "start_time": CREATED + timedelta(seconds=3),
        "completion_time": CREATED + timedelta(seconds=5),
        "duration_seconds": 2,
        "results": Results(),
        "callback": CallbackStatus(
            state=CallbackState.RETRYING,
            attempts=2,
            last_attempt_time=CREATED + timedelta(seconds=11),
            next_attempt_time=NOW + timedelta(seconds=20),
            last_status_code=503,
            last_error="HTTP 503: the receiver could not take the callback",
        ),
    },
    "cancelled": {
        "phase": Phase.CANCELLED,
        "reason": Reason.CANCELLED,
        "completion_time": CREATED + timedelta(seconds=9),
        "callback": CallbackStatus(state=CallbackState.DISABLED),
    },
}


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def english() -> Localizer:
    return Localizer(language="en", time_zone=ZoneInfo("America/New_York"))


@pytest.fixture
def spanish() -> Localizer:
    return Localizer(language="es", time_zone=ZoneInfo("Europe/Madrid"))


@pytest.fixture
def make_sync() -> Callable[..., EstimateSync]:
    """Make a sync in one of the states, with whatever else its status should say."""

    def make(
        state: str = "unseen", *, name: str = "est-2", cancel: bool = False, suspend: bool = False, **status: object
    ) -> EstimateSync:
        days = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
        return EstimateSync(
            metadata=Metadata(name=name, uid="00000000-0000-4000-8000-000000000001", creation_timestamp=CREATED),
            spec=EstimateSyncSpec(date_range=days, cancel=cancel, suspend=suspend),
            status=msgspec.structs.replace(EstimateSyncStatus(**STATUSES[state]), **status),
        )

    return make

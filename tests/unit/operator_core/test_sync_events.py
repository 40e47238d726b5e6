from datetime import UTC, datetime
from typing import Any

import pytest
from estimatesync_contract.status import CallbackState, CallbackStatus, EstimateSyncStatus, Phase
from estimatesync_operator.core.events import build_events

AT = datetime(2025, 10, 16, 14, 20, tzinfo=UTC)


def _status(phase: Phase | None = None, reason: str | None = None, message: str = "m") -> EstimateSyncStatus:
    return EstimateSyncStatus(phase=phase, reason=reason, message=message, job_name="job-1")


def _callback(state: CallbackState, attempts: int = 0, **fields: Any) -> EstimateSyncStatus:
    return EstimateSyncStatus(phase=Phase.SUCCEEDED, callback=CallbackStatus(state=state, attempts=attempts, **fields))


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        pytest.param(_status(), _status(Phase.QUEUED, "Queued"), ("Normal", "Queued", "m"), id="new"),
        pytest.param(
            _status(Phase.RUNNING, "ImagePullFailed"),
            _status(Phase.RUNNING, "Running"),
            ("Normal", "Running", "m"),
            id="a blocker is gone",
        ),
        pytest.param(
            _status(Phase.RUNNING, "Running"),
            _status(Phase.RUNNING, "ImagePullFailed"),
            ("Warning", "ImagePullFailed", "m"),
            id="blocker",
        ),
        pytest.param(
            _status(Phase.RUNNING, "Running"),
            _status(Phase.FAILED, "Evicted"),
            ("Warning", "Evicted", "m"),
            id="failed",
        ),
        pytest.param(
            _status(Phase.RUNNING, "Running"),
            _status(Phase.CANCELLED, "Cancelled"),
            ("Warning", "Cancelled", "m"),
            id="cancelled",
        ),
        pytest.param(
            _callback(CallbackState.PENDING),
            _callback(CallbackState.DELIVERED, 1, last_status_code=200),
            ("Normal", "CallbackDelivered", "Attempt 1: HTTP 200"),
            id="delivered",
        ),
        pytest.param(
            _callback(CallbackState.RETRYING, 1),
            _callback(CallbackState.RETRYING, 2, last_error="refused", next_attempt_time=AT),
            ("Warning", "CallbackRetrying", "Attempt 2: refused; next attempt at 14:20:00 UTC"),
            id="one more failed attempt",
        ),
        pytest.param(
            _callback(CallbackState.RETRYING, 1),
            _callback(CallbackState.RETRYING, 2, last_status_code=502),
            ("Warning", "CallbackRetrying", "Attempt 2: HTTP 502"),
            id="one more, without a time",
        ),
        pytest.param(
            _callback(CallbackState.RETRYING, 2),
            _callback(CallbackState.FAILED, 2, last_error="gone"),
            ("Warning", "CallbackFailed", "Attempt 2: gone"),
            id="given up without another attempt",
        ),
        pytest.param(
            _callback(CallbackState.FAILED, 2),
            _callback(CallbackState.DISABLED),
            ("Normal", "CallbackDisabled", ""),
            id="disabled without a word",
        ),
        pytest.param(
            _status(Phase.RUNNING, "Running"), EstimateSyncStatus(phase=Phase.FAILED), ("Warning", "", ""), id="silent"
        ),
        pytest.param(
            _callback(CallbackState.RETRYING, 9),
            _callback(CallbackState.FAILED, 10, last_status_code=503, last_error="HTTP 503: down"),
            ("Warning", "CallbackFailed", "Attempt 10: HTTP 503: down"),
            id="given up",
        ),
        pytest.param(
            EstimateSyncStatus(phase=Phase.SUCCEEDED),
            _callback(CallbackState.DISABLED, last_error="no URL"),
            ("Normal", "CallbackDisabled", "no URL"),
            id="callback disabled",
        ),
    ],
)
def test_a_transition_makes_one_event(
    before: EstimateSyncStatus, after: EstimateSyncStatus, event: tuple[str, str, str]
) -> None:
    (created,) = build_events(before, after)

    assert (created.type, created.reason, created.message) == event
    assert build_events(after, after) == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            _status(Phase.RUNNING, "Running", "Page 1/17"),
            _status(Phase.RUNNING, "Running", "Page 2/17"),
            id="progress",
        ),
        pytest.param(
            _status(Phase.QUEUED, "Queued", "Position 2"), _status(Phase.QUEUED, "Queued", "Position 1"), id="position"
        ),
        pytest.param(_status(Phase.QUEUED, "Queued"), _status(Phase.QUEUED, "Suspended"), id="suspended by a person"),
        pytest.param(_status(Phase.QUEUED, "Suspended"), _status(Phase.QUEUED, "Queued"), id="and let go"),
        pytest.param(_status(Phase.RUNNING, "Running"), _status(Phase.RUNNING, "Stopping"), id="being stopped"),
        pytest.param(_status(Phase.RUNNING, "JobRefused"), _status(Phase.RUNNING, "Starting"), id="started again"),
        pytest.param(_status(Phase.QUEUED, "Queued"), _status(Phase.RUNNING, "Starting"), id="its job follows"),
        pytest.param(_status(Phase.RUNNING, "Starting"), _status(Phase.RUNNING, "Running"), id="its job was created"),
        pytest.param(_status(Phase.RUNNING, "JobRefused"), _status(Phase.RUNNING, "Running"), id="and so it was now"),
        pytest.param(
            EstimateSyncStatus(phase=Phase.SUCCEEDED), _callback(CallbackState.PENDING), id="callback on record"
        ),
    ],
)
def test_a_change_that_is_not_a_transition_makes_no_event(
    before: EstimateSyncStatus, after: EstimateSyncStatus
) -> None:
    assert build_events(before, after) == ()


def test_the_end_and_the_missing_target_are_two_events() -> None:
    events = build_events(_status(Phase.RUNNING, "Running"), _callback(CallbackState.DISABLED, last_error="no URL"))

    assert len(events) == 2
    assert events[1].reason == "CallbackDisabled"

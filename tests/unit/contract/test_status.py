"""The states of a sync that are read from its reason and conditions."""

from datetime import UTC, datetime

import pytest
from estimatesync_contract.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    EstimateSyncStatus,
    Phase,
    format_duration,
)

SINCE = datetime(2026, 1, 2, tzinfo=UTC)


def build_status(reason: str, stalled: ConditionStatus) -> EstimateSyncStatus:
    condition = Condition(
        type=ConditionType.STALLED,
        status=stalled,
        observed_generation=1,
        last_transition_time=SINCE,
        reason=reason,
        message="",
    )
    return EstimateSyncStatus(phase=Phase.RUNNING, reason=reason, conditions=(condition,))


@pytest.mark.parametrize(
    ("reason", "stalled", "expected"),
    [
        pytest.param("ImagePullFailed", ConditionStatus.TRUE, SINCE, id="something that a person must act on"),
        pytest.param("Running", ConditionStatus.FALSE, None, id="at work"),
        pytest.param("FromTheFuture", ConditionStatus.TRUE, None, id="a reason that only a newer version knows"),
    ],
)
def test_a_sync_is_stalled_while_a_known_blocker_stands(
    reason: str, stalled: ConditionStatus, expected: datetime | None
) -> None:
    assert build_status(reason, stalled).stalled_since == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        pytest.param("Starting", True, id="recorded, not created yet"),
        pytest.param("JobRefused", True, id="refused so far"),
        pytest.param("Running", False, id="created"),
    ],
)
def test_a_job_is_pending_until_it_has_been_created(reason: str, *, expected: bool) -> None:
    assert EstimateSyncStatus(phase=Phase.RUNNING, reason=reason).is_job_pending is expected


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (60, "1m"), (487, "8m7s"), (3600, "1h"), (3667, "1h1m7s")]
)
def test_a_duration_is_written_as_go_does(seconds: int, text: str) -> None:
    assert format_duration(seconds) == text

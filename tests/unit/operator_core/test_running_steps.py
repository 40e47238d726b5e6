from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import EstimateSyncSpec
from estimatesync_contract.status import Condition, ConditionStatus
from estimatesync_operator.core.job_observation import ABSENT_JOB, JobObservation, JobState
from estimatesync_operator.core.plan import Step, compute_end, decide_step

MakeSync = Callable[..., EstimateSync]

NOW = datetime(2025, 10, 16, 14, 20, tzinfo=UTC)
LIMIT = timedelta(seconds=60)
LONG_AGO = NOW - LIMIT
JUST_NOW = NOW - timedelta(seconds=59)
CANCEL = {"spec": EstimateSyncSpec(cancel=True)}


def _seen(state: JobState, **fields: Any) -> JobObservation:
    return JobObservation(state=state, **fields)


def _stalled(since: datetime, reason: str = "ImagePullFailed") -> dict[str, Any]:
    condition = Condition(
        type="Stalled",
        status=ConditionStatus.TRUE,
        observed_generation=1,
        last_transition_time=since,
        reason=reason,
        message="cannot be had",
    )
    return {"reason": reason, "message": "cannot be had", "conditions": (condition,)}


NO_IMAGE = _seen(JobState.PENDING, waiting_reason="ErrImagePull")
LOST = {"waiting_reason": "NodeLost"}


@pytest.mark.parametrize(
    ("status", "seen", "expected"),
    [
        pytest.param({"reason": "Starting"}, ABSENT_JOB, Step.CREATE, id="first"),
        pytest.param(_stalled(LONG_AGO, "JobRefused"), ABSENT_JOB, Step.CREATE, id="refused: asked once more"),
        pytest.param({"reason": "Starting", **CANCEL}, ABSENT_JOB, Step.END, id="cancelled before it was created"),
        pytest.param({}, ABSENT_JOB, Step.END, id="somebody deleted it"),
        pytest.param({}, _seen(JobState.FOREIGN), Step.END, id="not ours"),
        pytest.param({}, _seen(JobState.SUCCEEDED), Step.END, id="succeeded"),
        pytest.param(CANCEL, _seen(JobState.FAILED), Step.END, id="failed before the cancel"),
        pytest.param({}, _seen(JobState.ACTIVE), Step.SHOW, id="at work"),
        pytest.param(CANCEL, _seen(JobState.ACTIVE), Step.STOP, id="cancel"),
        pytest.param(CANCEL, _seen(JobState.STOPPING), Step.AWAIT_STOP, id="cancelling"),
        pytest.param(CANCEL, _seen(JobState.STOPPING, **LOST), Step.END, id="cancelled, and its node is lost"),
        pytest.param({}, _seen(JobState.STOPPING, **LOST), Step.AWAIT_STOP, id="deleted, and its node is lost"),
        pytest.param({}, _seen(JobState.STOPPING, ending_since=JUST_NOW), Step.AWAIT_STOP, id="ending"),
        pytest.param({}, _seen(JobState.STOPPING, ending_since=LONG_AGO), Step.END, id="does not end"),
        pytest.param(
            {},
            _seen(JobState.ACTIVE, failure_reason="DeadlineExceeded", ending_since=LONG_AGO),
            Step.END,
            id="failed, but its pod does not end",
        ),
        pytest.param(_stalled(JUST_NOW), NO_IMAGE, Step.SHOW, id="stalled, not for long"),
        pytest.param(_stalled(LONG_AGO), NO_IMAGE, Step.STOP, id="stalled for the limit"),
        pytest.param(_stalled(LONG_AGO), _seen(JobState.ACTIVE), Step.SHOW, id="the obstacle has just gone"),
        pytest.param(_stalled(LONG_AGO), _seen(JobState.STOPPING), Step.AWAIT_STOP, id="given up, still ending"),
        pytest.param(_stalled(LONG_AGO), _seen(JobState.STOPPING, **LOST), Step.END, id="given up, node lost"),
        pytest.param(_stalled(LONG_AGO), ABSENT_JOB, Step.END, id="given up, ended"),
        pytest.param({**_stalled(LONG_AGO), "reason": "Running"}, NO_IMAGE, Step.SHOW, id="not on record any more"),
    ],
)
def test_the_next_step_follows_from_what_is_on_record_and_what_is_seen(
    make_sync: MakeSync, running: dict[str, Any], status: dict[str, Any], seen: JobObservation, expected: Step
) -> None:
    assert decide_step(make_sync(**{**running, **status}), seen, now=NOW, limit=LIMIT) is expected


@pytest.mark.parametrize(
    ("status", "seen", "reason", "message"),
    [
        pytest.param(CANCEL, ABSENT_JOB, Reason.CANCELLED, "Cancelled", id="cancelled"),
        pytest.param(CANCEL, _seen(JobState.FOREIGN), Reason.CANCELLED, "Cancelled", id="cancelled, job not ours"),
        pytest.param({}, ABSENT_JOB, Reason.JOB_DELETED, "was deleted", id="somebody deleted the job"),
        pytest.param({}, _seen(JobState.STOPPING), Reason.JOB_DELETED, "was deleted", id="deleted and does not end"),
        pytest.param({}, _seen(JobState.FOREIGN), Reason.JOB_CONFLICT, "Another job", id="the name is taken"),
        pytest.param(
            _stalled(LONG_AGO),
            ABSENT_JOB,
            Reason.IMAGE_PULL_FAILED,
            "Gave up after 60 seconds. cannot be had",
            id="given up",
        ),
        pytest.param(_stalled(JUST_NOW), ABSENT_JOB, Reason.JOB_DELETED, "was deleted", id="deleted while stalled"),
        pytest.param(
            {},
            _seen(JobState.ACTIVE, failure_reason="DeadlineExceeded"),
            Reason.DEADLINE_EXCEEDED,
            "within 3600 seconds",
            id="out of time, and its pod does not end",
        ),
        pytest.param(
            {}, _seen(JobState.SUCCEEDED, exit_code=0), Reason.RESULT_MISSING, "is gone", id="the job's own end"
        ),
    ],
)
def test_the_end_has_the_cause_that_led_to_it(
    make_sync: MakeSync,
    running: dict[str, Any],
    status: dict[str, Any],
    seen: JobObservation,
    reason: Reason,
    message: str,
) -> None:
    outcome = compute_end(make_sync(**{**running, **status}), seen, now=NOW, limit=LIMIT)

    assert outcome.reason is reason
    assert message in outcome.message

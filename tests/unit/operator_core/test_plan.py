from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import ANNOTATION_REDELIVER
from estimatesync_contract.result import ResultError, SyncResult, build_result_bytes
from estimatesync_contract.spec import CallbackSpec, DateRange, EstimateSyncSpec
from estimatesync_contract.status import (
    CallbackState,
    CallbackStatus,
    Condition,
    ConditionStatus,
    Phase,
    QueuePlace,
    Results,
    build_progress,
)
from estimatesync_operator.core.job_observation import ABSENT_JOB, JobObservation, JobState, PodIdentity
from estimatesync_operator.core.outcomes import compute_end
from estimatesync_operator.core.plan import Action, Plan, ReconcilerSettings, Seen, build_plan
from estimatesync_operator.core.queue_order import QueueDecision
from estimatesync_operator.core.silence import Silence
from msgspec import UNSET, UnsetType

MakeSync = Callable[..., EstimateSync]
Finished = Callable[..., JobObservation]

NOW = datetime(2025, 10, 16, 14, 20, tzinfo=UTC)
LIMIT = timedelta(seconds=60)
LONG_AGO = NOW - LIMIT
JUST_NOW = NOW - timedelta(seconds=59)
CANCEL = {"spec": EstimateSyncSpec(cancel=True)}
AT_ONCE, SOON, INTERVAL, SELDOM = (timedelta(seconds=seconds) for seconds in (0, 1, 2, 15))
AT_FIRST = timedelta(seconds=5)
STOP = Action.STOP_JOB
HERE, ELSEWHERE = (Silence(name=uid, uid=uid, since=NOW, told_at=None) for uid in ("uid-a", "uid-b"))


@pytest.fixture
def settings(make_reconciler_settings: Callable[..., ReconcilerSettings]) -> ReconcilerSettings:
    return make_reconciler_settings(stuck_limit=LIMIT, max_evictions=2, default_ttl=timedelta(days=2))


def _job(state: JobState, **fields: Any) -> JobObservation:
    return JobObservation(state=state, **fields)


def _stalled(
    since: datetime, reason: str = "ImagePullFailed", *, status: ConditionStatus = ConditionStatus.TRUE
) -> dict[str, Any]:
    condition = Condition(
        type="Stalled",
        status=status,
        observed_generation=1,
        last_transition_time=since,
        reason=reason,
        message="cannot be pulled",
    )
    return {"reason": reason, "message": "cannot be pulled", "conditions": (condition,)}


def _outline(plan: Plan) -> tuple[Action | None, str | None, timedelta | None]:
    return plan.action, plan.status.reason if plan.status else None, plan.requeue_after


NO_IMAGE = _job(JobState.PENDING, waiting_reason="ErrImagePull")
LOST = {"waiting_reason": "NodeLost"}
TOO_OFTEN = {"reason": "EvictedTooOften", "message": "3 times"}
DELIVERED = {"callback": CallbackStatus(state=CallbackState.DELIVERED)}
RECOVERED = {**_stalled(LONG_AGO, "Running", status=ConditionStatus.FALSE)}


@pytest.mark.parametrize(
    ("status", "job", "expected"),
    [
        pytest.param({"reason": "Starting"}, None, (Action.CREATE_JOB, None, AT_FIRST), id="the first time"),
        pytest.param(_stalled(LONG_AGO, "JobRefused"), None, (Action.CREATE_JOB, "Running", AT_FIRST), id="once more"),
        pytest.param({"reason": "Starting"}, ABSENT_JOB, (None, None, AT_ONCE), id="its name was free again"),
        pytest.param(_stalled(LONG_AGO, "JobRefused"), ABSENT_JOB, (None, None, AT_ONCE), id="refused: tried again"),
        pytest.param({"reason": "Starting", **CANCEL}, ABSENT_JOB, (None, "Cancelled", AT_ONCE), id="cancelled early"),
        pytest.param({}, ABSENT_JOB, (None, "JobDeleted", AT_ONCE), id="a person deleted it"),
        pytest.param({}, _job(JobState.FOREIGN), (None, "JobConflict", AT_ONCE), id="not ours"),
        pytest.param({}, _job(JobState.SUCCEEDED), (None, "ResultMissing", AT_ONCE), id="succeeded"),
        pytest.param(CANCEL, _job(JobState.FAILED), (None, "ResultMissing", AT_ONCE), id="failed before the cancel"),
        pytest.param({}, _job(JobState.ACTIVE), (None, "Running", INTERVAL), id="at work"),
        pytest.param(CANCEL, _job(JobState.ACTIVE), (STOP, None, AT_ONCE), id="cancel"),
        pytest.param(CANCEL, _job(JobState.STOPPING), (None, "Stopping", SOON), id="cancelling"),
        pytest.param(CANCEL, _job(JobState.STOPPING, **LOST), (None, "Cancelled", AT_ONCE), id="cancelled, node lost"),
        pytest.param({}, _job(JobState.STOPPING, **LOST), (None, "Stopping", SOON), id="deleted, node lost"),
        pytest.param({}, _job(JobState.STOPPING, ending_since=JUST_NOW), (None, "Stopping", SOON), id="ending"),
        pytest.param(
            {}, _job(JobState.STOPPING, ending_since=LONG_AGO), (None, "JobDeleted", AT_ONCE), id="does not end"
        ),
        pytest.param(
            {},
            _job(JobState.ACTIVE, failure_reason="DeadlineExceeded", ending_since=LONG_AGO),
            (None, "DeadlineExceeded", AT_ONCE),
            id="failed, but its pod does not end",
        ),
        pytest.param(_stalled(JUST_NOW), NO_IMAGE, (None, "ImagePullFailed", SOON), id="blocked, not for long"),
        pytest.param({}, NO_IMAGE, (None, "ImagePullFailed", SELDOM), id="just blocked"),
        pytest.param(_stalled(LONG_AGO), NO_IMAGE, (STOP, None, AT_ONCE), id="blocked for the limit"),
        pytest.param(_stalled(LONG_AGO), _job(JobState.ACTIVE), (None, "Running", INTERVAL), id="just unblocked"),
        pytest.param(
            _stalled(LONG_AGO), _job(JobState.STOPPING), (None, "ImagePullFailed", SOON), id="given up, still ending"
        ),
        pytest.param(
            _stalled(LONG_AGO),
            _job(JobState.STOPPING, **LOST),
            (None, "ImagePullFailed", AT_ONCE),
            id="given up, node lost",
        ),
        pytest.param(_stalled(LONG_AGO), ABSENT_JOB, (None, "ImagePullFailed", AT_ONCE), id="given up, ended"),
        pytest.param(RECOVERED, NO_IMAGE, (None, "ImagePullFailed", SELDOM), id="blocked again: counted from now"),
        pytest.param(TOO_OFTEN, _job(JobState.ACTIVE), (STOP, None, AT_ONCE), id="evicted too often"),
        pytest.param(TOO_OFTEN, ABSENT_JOB, (None, "EvictedTooOften", AT_ONCE), id="evicted too often, ended"),
        pytest.param(
            {"pod_name": "old", "runs": 3},
            _job(JobState.PENDING, pod_name="new"),
            (None, "EvictedTooOften", AT_ONCE),
            id="evicted once too often",
        ),
    ],
)
def test_a_running_sync_goes_on_as_its_record_and_its_job_say(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    running: dict[str, Any],
    status: dict[str, Any],
    job: JobObservation | None,
    expected: tuple[Action | None, str | None, timedelta],
) -> None:
    sync = make_sync(**{**running, **status})

    plan = build_plan(sync, Seen(job=job, next_reading=INTERVAL), now=NOW, settings=settings)

    assert _outline(plan) == expected
    assert plan.moves_queue is (plan.status is not None and plan.status.phase is not Phase.RUNNING)


@pytest.mark.parametrize(
    ("seconds", "seen", "expected"),
    [
        pytest.param(4, {}, (None, None, SOON), id="no pod yet"),
        pytest.param(4, {"job": _job(JobState.ACTIVE)}, (None, None, SOON), id="its pod has begun"),
        pytest.param(4, {"job": NO_IMAGE}, (None, "ImagePullFailed", SELDOM), id="its pod cannot begin"),
        pytest.param(
            4, {"progress": build_progress(page=1, total_pages=2, fetched=9)}, (None, "Running", AT_FIRST), id="a page"
        ),
        pytest.param(4, {"job": ABSENT_JOB}, (None, "JobDeleted", AT_ONCE), id="a person deleted it"),
        pytest.param(5, {}, (None, "Running", AT_FIRST), id="no pod for five seconds"),
        pytest.param(-60, {}, (None, "Running", AT_FIRST), id="the clock was set back"),
    ],
)
def test_a_job_that_was_just_created_is_put_on_record_with_its_first_news(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    running: dict[str, Any],
    seconds: int,
    seen: dict[str, Any],
    expected: tuple[Action | None, str | None, timedelta],
) -> None:
    sync, created_at = make_sync(**{**running, "reason": "Starting"}), NOW - timedelta(seconds=seconds)
    found = {"job": JobObservation(state=JobState.PENDING), "next_reading": INTERVAL, **seen}

    plan = build_plan(sync, Seen(created_at=created_at, **found), now=NOW, settings=settings)

    assert _outline(plan) == expected


def test_a_run_that_has_succeeded_is_worth_no_write_before_its_end(
    make_sync: MakeSync, settings: ReconcilerSettings, running: dict[str, Any], finished_job: Any
) -> None:
    job = msgspec.structs.replace(finished_job("a"), state=JobState.PENDING, finished_at=None, ending_since=NOW)

    plan = build_plan(make_sync(**running), Seen(job=job, next_reading=INTERVAL), now=NOW, settings=settings)

    assert _outline(plan) == (None, None, INTERVAL)


@pytest.mark.parametrize(
    ("status", "job", "given_up", "reason", "message"),
    [
        pytest.param(CANCEL, ABSENT_JOB, None, Reason.CANCELLED, "Cancelled", id="cancelled"),
        pytest.param(CANCEL, _job(JobState.FOREIGN), None, Reason.CANCELLED, "Cancelled", id="cancelled, job not ours"),
        pytest.param({}, ABSENT_JOB, None, Reason.JOB_DELETED, "was deleted", id="a person deleted the job"),
        pytest.param(
            {}, _job(JobState.STOPPING), None, Reason.JOB_DELETED, "was deleted", id="deleted and does not end"
        ),
        pytest.param({}, _job(JobState.FOREIGN), None, Reason.JOB_CONFLICT, "Another job", id="the name is taken"),
        pytest.param(
            _stalled(LONG_AGO),
            ABSENT_JOB,
            LIMIT,
            Reason.IMAGE_PULL_FAILED,
            "Gave up after 60 seconds. cannot be pulled",
            id="given up",
        ),
        pytest.param(
            _stalled(JUST_NOW), ABSENT_JOB, None, Reason.JOB_DELETED, "was deleted", id="deleted while stalled"
        ),
        pytest.param(
            {},
            _job(JobState.ACTIVE, failure_reason="DeadlineExceeded"),
            None,
            Reason.DEADLINE_EXCEEDED,
            "within 3600 seconds",
            id="out of time, and its pod does not end",
        ),
        pytest.param(
            {}, _job(JobState.SUCCEEDED, exit_code=0), None, Reason.RESULT_MISSING, "is gone", id="the job's own end"
        ),
        pytest.param(
            {},
            _job(JobState.PENDING, exit_code=0, termination_message="", ending_since=LONG_AGO),
            None,
            Reason.RESULT_MISSING,
            "is gone",
            id="its run is done, and the job does not say that it ends",
        ),
    ],
)
def test_the_end_has_the_cause_that_led_to_it(
    make_sync: MakeSync,
    running: dict[str, Any],
    status: dict[str, Any],
    job: JobObservation,
    given_up: timedelta | None,
    reason: Reason,
    message: str,
) -> None:
    outcome = compute_end(make_sync(**{**running, **status}), job, given_up_after=given_up)

    assert outcome.reason is reason
    assert message in outcome.message


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({}, (None, "JobRefused", SELDOM), id="refused for the first time"),
        pytest.param(_stalled(JUST_NOW, "JobRefused"), (None, "JobRefused", SOON), id="refused, not for long"),
        pytest.param(_stalled(LONG_AGO, "JobRefused"), (None, "JobRefused", AT_ONCE), id="refused for the limit"),
        pytest.param({"start_time": NOW - timedelta(hours=1)}, (None, "JobRefused", AT_ONCE), id="its time is over"),
    ],
)
def test_a_refused_job_is_asked_for_again_within_its_limits(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    running: dict[str, Any],
    status: dict[str, Any],
    expected: tuple[Action | None, str | None, timedelta],
) -> None:
    sync = make_sync(**{**running, "reason": "Starting", **status})

    plan = build_plan(sync, Seen(refusal="quota"), now=NOW, settings=settings)

    assert _outline(plan) == expected
    assert plan.moves_queue is (expected[-1] == AT_ONCE)


SUSPENDED_JOB = _job(JobState.PENDING, waiting_reason="JobSuspended")
FIVE_MINUTES = timedelta(minutes=5)


@pytest.mark.parametrize(
    ("limit", "seconds", "expected", "gives_way"),
    [
        pytest.param(None, 59, (None, "JobSuspended", SELDOM), False, id="for a moment"),
        pytest.param(None, 60, (None, "JobSuspended", FIVE_MINUTES), True, id="others take its turn"),
        pytest.param(None, 3599, (None, "JobSuspended", SOON), True, id="almost as long as it may run"),
        pytest.param(None, 3600, (STOP, None, AT_ONCE), False, id="as long as it may run"),
        pytest.param(7200, 3600, (None, "JobSuspended", FIVE_MINUTES), True, id="it may wait longer"),
        pytest.param(7200, 7200, (STOP, None, AT_ONCE), False, id="but not for ever"),
        pytest.param(30, 30, (STOP, None, AT_ONCE), False, id="or for a moment only"),
        pytest.param(0, 10_000_000, (None, "JobSuspended", FIVE_MINUTES), True, id="for ever"),
    ],
)
def test_a_sync_that_is_held_back_has_a_limit_of_its_own_and_others_take_its_turn(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    running: dict[str, Any],
    limit: int | None,
    seconds: int,
    expected: tuple[Action | None, str | None, timedelta],
    *,
    gives_way: bool,
) -> None:
    settings = msgspec.structs.replace(settings, suspended_limit=None if limit is None else timedelta(seconds=limit))
    sync = make_sync(**{**running, **_stalled(NOW - timedelta(seconds=seconds), "JobSuspended")})

    plan = build_plan(sync, Seen(job=SUSPENDED_JOB, next_reading=INTERVAL), now=NOW, settings=settings)

    assert (*_outline(plan), plan.moves_queue) == (*expected, gives_way)


def test_a_blocker_that_follows_a_hold_has_a_beginning_of_its_own(
    make_sync: MakeSync, settings: ReconcilerSettings, running: dict[str, Any]
) -> None:
    sync = make_sync(**{**running, **_stalled(LONG_AGO, "JobSuspended")})

    plan = build_plan(sync, Seen(job=NO_IMAGE), now=NOW, settings=settings)

    assert plan.status is not None
    assert (plan.status.reason, plan.status.stalled_since) == ("ImagePullFailed", NOW)


def _ended_run(finished_job: Finished, error: ResultError | None = None, **fields: Any) -> JobObservation:
    done = finished_job("a", error)
    seen = {"state": JobState.PENDING, "termination_message": done.termination_message, "exit_code": done.exit_code}
    return JobObservation(**{**seen, **fields})


@pytest.mark.parametrize(
    ("status", "seen", "expected"),
    [
        pytest.param({}, {}, (None, "Running", INTERVAL), id="its job is about to say so"),
        pytest.param({}, {"companions": ("mesh",)}, (None, "Succeeded", AT_ONCE), id="its pod goes on"),
        pytest.param({}, {"is_misjudged": True}, (None, "Succeeded", AT_ONCE), id="its job says something else"),
        pytest.param({}, {"state": JobState.STOPPING}, (None, "Succeeded", AT_ONCE), id="its job is deleted"),
        pytest.param(CANCEL, {}, (None, "Succeeded", AT_ONCE), id="cancelled too late"),
        pytest.param(CANCEL, {"state": JobState.STOPPING}, (None, "Succeeded", AT_ONCE), id="while it was cancelled"),
        pytest.param(_stalled(LONG_AGO), LOST, (None, "Succeeded", AT_ONCE), id="given up too late"),
        pytest.param(TOO_OFTEN, {}, (None, "Succeeded", AT_ONCE), id="evicted once too often, and done"),
    ],
)
def test_a_success_is_told_at_once_where_its_job_would_not_tell_it(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    running: dict[str, Any],
    finished_job: Finished,
    status: dict[str, Any],
    seen: dict[str, Any],
    expected: tuple[Action | None, str, timedelta],
) -> None:
    sync = make_sync("a", **{**running, **status})

    plan = build_plan(
        sync, Seen(job=_ended_run(finished_job, **seen), next_reading=INTERVAL), now=NOW, settings=settings
    )

    assert _outline(plan) == expected
    assert plan.moves_queue is (expected[1] == "Succeeded")


NO_ANSWER = ResultError(reason=Reason.SOURCE_UNAVAILABLE, message="no answer", retryable=True)
ENDED_POD = PodIdentity(name="pod", uid="uid-pod")
COMPANY = {"companions": ("mesh",), "ended_at": NOW - timedelta(hours=1), "ended_pod": ENDED_POD}
END = (None, "SourceUnavailable", AT_ONCE)
GOES_ON = (None, "Running", INTERVAL)
NOT_YET = (None, "Running", SOON)
"""However seldom the log of a run at work is read."""
NEXT_RUN = (Action.STOP_RUN, None, SOON)
LINE = ("a line",)


@pytest.mark.parametrize(
    ("seen", "seconds", "log", "expected"),
    [
        pytest.param({}, 29, LINE, NOT_YET, id="its pod may end by itself, and another run follows"),
        pytest.param({}, 30, LINE, NEXT_RUN, id="its pod is in the way of another run"),
        pytest.param({}, 30, (), NEXT_RUN, id="also if its log cannot be read"),
        pytest.param({"ended_at": None}, 30, LINE, NEXT_RUN, id="also if nobody knows when it ended"),
        pytest.param({"exit_code": 137}, 30, LINE, NEXT_RUN, id="also if it was killed"),
        pytest.param({"failed_runs": 1}, 30, LINE, NEXT_RUN, id="the second of three"),
        pytest.param({"companions": ()}, None, LINE, GOES_ON, id="its pod has ended, or is about to"),
        pytest.param({"failed_runs": 2}, 0, LINE, END, id="the last of three"),
        pytest.param({"failed_runs": 2}, 29, (), NOT_YET, id="the last of three, and its log cannot be read yet"),
        pytest.param({"failed_runs": 2}, 30, (), END, id="the last of three, and its log cannot be read"),
        pytest.param({"exit_code": 20}, 0, LINE, END, id="no run can do better"),
        pytest.param({"exit_code": 20}, 29, (), NOT_YET, id="no run can do better, and its log cannot be read yet"),
        pytest.param({"exit_code": 20}, 30, (), END, id="no run can do better, and its log cannot be read"),
        pytest.param({"exit_code": 0}, 0, LINE, END, id="its job would take it for a success"),
    ],
)
def test_a_failure_whose_pod_goes_on_is_tried_again_or_ends_the_sync_as_if_the_pod_had_ended(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    running: dict[str, Any],
    finished_job: Finished,
    seen: dict[str, Any],
    seconds: int | None,
    log: tuple[str, ...],
    expected: tuple[Action | None, str | None, timedelta],
) -> None:
    since = None if seconds is None else NOW - timedelta(seconds=seconds)
    job = _ended_run(finished_job, NO_ANSWER, **{**COMPANY, "exit_code": 10, **seen})
    sync = make_sync("a", spec=EstimateSyncSpec(max_retries=2), **running)

    found = Seen(job=job, log=log, next_reading=INTERVAL, companions_since=since)
    plan = build_plan(sync, found, now=NOW, settings=settings)

    assert _outline(plan) == expected
    assert plan.pod == (ENDED_POD if expected is NEXT_RUN else None)
    if expected is END:
        assert plan.status is not None
        assert (plan.status.phase, plan.status.log, plan.status.owes_callback) == (Phase.FAILED, log, True)


def test_a_run_that_failed_is_not_looked_at_again_before_its_time_or_without_pause(
    make_sync: MakeSync, settings: ReconcilerSettings, running: dict[str, Any], finished_job: Finished
) -> None:
    seldom = timedelta(seconds=600)
    settings = msgspec.structs.replace(settings, progress_interval=seldom)
    job = _ended_run(finished_job, NO_ANSWER, **COMPANY, exit_code=10)

    found = (Seen(job=job, next_reading=seldom, companions_since=NOW - timedelta(seconds=age)) for age in (0, 10))
    plans = [build_plan(make_sync("a", **running), each, now=NOW, settings=settings) for each in found]

    assert [plan.requeue_after for plan in plans] == [timedelta(seconds=30), timedelta(seconds=20)]


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        pytest.param(10, "Run 1 has failed; the next one follows once mesh has ended", id="another follows"),
        pytest.param(20, "The last run has failed; the end of its log is being read", id="none follows"),
    ],
)
def test_a_run_whose_pod_goes_on_is_told(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    running: dict[str, Any],
    finished_job: Finished,
    exit_code: int,
    words: str,
) -> None:
    job = _ended_run(finished_job, NO_ANSWER, **COMPANY, exit_code=exit_code)

    plan = build_plan(make_sync("a", **running), Seen(job=job, companions_since=NOW), now=NOW, settings=settings)

    assert plan.status is not None
    assert plan.status.message == words


STOPPED_BY_NODE = ResultError(reason=Reason.INTERRUPTED, message="was stopped", retryable=True)
TAKEN = {"container_reason": "DeletionByTaintManager"}


@pytest.mark.parametrize("error", [None, STOPPED_BY_NODE], ids=["no result", "interrupted"])
@pytest.mark.parametrize(
    ("status", "seen", "expected"),
    [
        pytest.param({}, {**LOST, "container_reason": "NodeLost"}, (None, "NodeLost", SELDOM), id="lost"),
        pytest.param(
            _stalled(JUST_NOW, "NodeLost"), {**LOST, **TAKEN}, (None, "NodeLost", SOON), id="lost for a while"
        ),
        pytest.param(_stalled(LONG_AGO, "NodeLost"), {**LOST, **TAKEN}, (STOP, None, AT_ONCE), id="lost for the limit"),
        pytest.param({}, TAKEN, (None, "Running", INTERVAL), id="about to be deleted"),
    ],
)
def test_a_failure_on_a_lost_node_whose_pod_goes_on_is_not_looked_at_without_pause(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    running: dict[str, Any],
    finished_job: Finished,
    error: ResultError | None,
    status: dict[str, Any],
    seen: dict[str, Any],
    expected: tuple[Action | None, str | None, timedelta],
) -> None:
    job = _ended_run(finished_job, error, **{**COMPANY, **seen, "exit_code": 137})
    if error is None:
        job = msgspec.structs.replace(job, termination_message="")
    sync = make_sync("a", **{**running, **status})
    found = Seen(job=job, log=("a line",), next_reading=INTERVAL, companions_since=LONG_AGO)

    plan = build_plan(sync, found, now=NOW, settings=settings)

    assert _outline(plan) == expected


def test_a_failure_with_a_cause_of_its_own_is_told_although_its_node_was_lost_since(
    make_sync: MakeSync, settings: ReconcilerSettings, running: dict[str, Any], finished_job: Finished
) -> None:
    job = _ended_run(finished_job, NO_ANSWER, **COMPANY, **LOST)

    job = msgspec.structs.replace(job, exit_code=20)

    plan = build_plan(make_sync("a", **running), Seen(job=job, companions_since=LONG_AGO), now=NOW, settings=settings)

    assert _outline(plan) == (None, "SourceUnavailable", AT_ONCE)


@pytest.mark.parametrize(
    ("seconds", "status", "log", "expected"),
    [
        pytest.param(1, {}, ("a line",), (None, None, SELDOM), id="it may end by itself"),
        pytest.param(25, {}, ("a line",), (None, None, timedelta(seconds=5)), id="not much longer"),
        pytest.param(30, {}, ("a line",), (None, ("a line",), SOON), id="the log is kept first"),
        pytest.param(30, {}, ("x" * 300,) * 300, (None, ("x" * 255 + "…",) * 200, SOON), id="and bounded"),
        pytest.param(30, {"log": ("a line",)}, (), (STOP, None, AT_ONCE), id="then the job is stopped"),
        pytest.param(29.5, {}, (), (None, None, SOON), id="in a moment"),
        pytest.param(30, {}, (), (None, None, SELDOM), id="the log cannot be read now"),
        pytest.param(89, {}, (), (None, None, SELDOM), id="the log cannot be read yet"),
        pytest.param(90, {}, (), (STOP, None, AT_ONCE), id="the log could not be read for the whole limit"),
        pytest.param(900, {}, ("a line",), (None, ("a line",), SOON), id="nobody was there to keep the log in time"),
        pytest.param(0, {"phase": Phase.CANCELLED}, (), (STOP, None, AT_ONCE), id="a job that came late"),
    ],
)
def test_a_job_at_work_for_a_sync_that_has_ended_is_stopped_once_its_log_is_kept(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    seconds: float,
    status: dict[str, Any],
    log: tuple[str, ...],
    expected: tuple[Action | None, tuple[str, ...] | None, timedelta],
) -> None:
    finished = {"phase": Phase.SUCCEEDED, "observed_generation": 1, "completion_time": NOW, **DELIVERED}
    sync = make_sync(**{**finished, **status})

    plan = build_plan(sync, Seen(has_stray=True, log=log), now=NOW + timedelta(seconds=seconds), settings=settings)

    assert (plan.action, plan.status.log if plan.status else None, plan.requeue_after) == expected


def test_a_callback_does_not_wait_for_a_pod_that_goes_on(make_sync: MakeSync, settings: ReconcilerSettings) -> None:
    pending = CallbackStatus(state=CallbackState.PENDING)
    sync = make_sync(phase=Phase.SUCCEEDED, observed_generation=1, completion_time=NOW, callback=pending)

    plan = build_plan(sync, Seen(has_stray=True), now=NOW, settings=settings)

    assert (plan.action, plan.requeue_after) == (Action.SEND_CALLBACK, AT_ONCE)


START = QueueDecision(may_start=True, reason=Reason.STARTING, message="It is this sync's turn")
NEAR = QueueDecision(may_start=False, reason=Reason.QUEUED, message="Position 2", place=QueuePlace(position=2))
FAR = QueueDecision(
    may_start=False, reason=Reason.QUEUED, message="Position 20", place=QueuePlace(position=20, exact=False)
)
SUSPENDED = QueueDecision(may_start=False, reason=Reason.SUSPENDED, message="Suspended")


@pytest.mark.parametrize(
    ("given", "queue", "expected"),
    [
        pytest.param({}, START, (Phase.RUNNING, "Starting", AT_ONCE, None), id="a slot is free"),
        pytest.param({}, NEAR, (Phase.QUEUED, "Queued", timedelta(seconds=30), NEAR.place), id="one of the next"),
        pytest.param({}, FAR, (Phase.QUEUED, "Queued", timedelta(minutes=5), FAR.place), id="far back"),
        pytest.param({}, SUSPENDED, (Phase.QUEUED, "Suspended", timedelta(minutes=5), None), id="suspended"),
        pytest.param(CANCEL, None, (Phase.CANCELLED, "Cancelled", AT_ONCE, None), id="cancelled"),
    ],
)
def test_a_waiting_sync_shows_its_place_until_it_starts_or_ends(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    given: dict[str, Any],
    queue: QueueDecision | None,
    expected: tuple[object, ...],
) -> None:
    sync = make_sync(phase=Phase.QUEUED, queue=QueuePlace(position=3), **given)

    plan = build_plan(sync, Seen(queue=queue), now=NOW, settings=settings)

    assert plan.status is not None
    assert (plan.status.phase, plan.status.reason, plan.requeue_after, plan.status.queue) == expected
    assert plan.action is None
    assert plan.moves_queue is (plan.requeue_after == AT_ONCE)


def test_a_waiting_sync_is_not_planned_without_its_place(make_sync: MakeSync, settings: ReconcilerSettings) -> None:
    with pytest.raises(ValueError, match="queue decision"):
        build_plan(make_sync(), Seen(), now=NOW, settings=settings)


RETRYING = CallbackStatus(state=CallbackState.RETRYING, next_attempt_time=NOW + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({"generation": 2, **DELIVERED}, (None, True, AT_ONCE), id="its spec was changed"),
        pytest.param(
            {"callback": CallbackStatus(state=CallbackState.PENDING)},
            (Action.SEND_CALLBACK, False, AT_ONCE),
            id="the first attempt",
        ),
        pytest.param({"callback": RETRYING}, (None, False, timedelta(minutes=1)), id="the next is not due"),
        pytest.param(
            {"callback": CallbackStatus(state=CallbackState.RETRYING, next_attempt_time=NOW + timedelta(hours=13))},
            (Action.SEND_CALLBACK, False, AT_ONCE),
            id="the next was planned by a clock that was ahead",
        ),
        pytest.param(
            {"callback": CallbackStatus(state=CallbackState.RETRYING, next_attempt_time=NOW)},
            (Action.SEND_CALLBACK, False, AT_ONCE),
            id="the next is due",
        ),
        pytest.param(DELIVERED, (None, False, timedelta(days=2)), id="kept for the default"),
        pytest.param(
            {"spec": EstimateSyncSpec(ttl_seconds_after_finished=0), **DELIVERED, "phase": Phase.FAILED},
            (Action.DELETE_SYNC, False, None),
            id="its time is over",
        ),
        pytest.param({"completion_time": None, **DELIVERED}, (None, False, None), id="ended at an unknown time"),
    ],
)
def test_a_finished_sync_delivers_its_callback_then_expires(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    status: dict[str, Any],
    expected: tuple[Action | None, bool, timedelta | None],
) -> None:
    finished = {"phase": Phase.SUCCEEDED, "reason": "Succeeded", "observed_generation": 1, "completion_time": NOW}

    seen = Seen(silence=ELSEWHERE)
    plan = build_plan(make_sync(**{**finished, **status}), seen, now=NOW, settings=settings)

    assert (plan.action, plan.status is not None, plan.requeue_after) == expected
    assert plan.moves_queue is False


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED])
@pytest.mark.parametrize(
    ("silence", "retained", "expected"),
    [
        pytest.param(UNSET, False, (None, False, AT_ONCE), id="which sync is the newest is not known"),
        pytest.param(ELSEWHERE, False, (Action.DELETE_SYNC, False, None), id="a newer one has succeeded in time"),
        pytest.param(ELSEWHERE, True, (Action.DELETE_SYNC, False, None), id="a newer one has succeeded since"),
        pytest.param(HERE, False, (None, True, timedelta(hours=1)), id="none has: that it stays is recorded"),
        pytest.param(HERE, True, (None, False, timedelta(hours=1)), id="none has, and that is on record"),
    ],
)
def test_the_sync_that_the_silence_is_on_record_on_stays_past_its_time(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    phase: Phase,
    silence: Silence | UnsetType,
    retained: bool,  # noqa: FBT001 - a table's column
    expected: tuple[Action | None, bool, timedelta | None],
) -> None:
    ended = {"phase": phase, "reason": "Succeeded", "observed_generation": 1, "completion_time": NOW}
    spec = EstimateSyncSpec(ttl_seconds_after_finished=0)
    sync = make_sync(spec=spec, retained=retained, **{**ended, **DELIVERED})

    plan = build_plan(sync, Seen(silence=silence), now=NOW, settings=settings)

    assert (plan.action, plan.status is not None, plan.requeue_after) == expected
    assert plan.status is None or plan.status.retained


@pytest.mark.parametrize(
    ("wanted", "has_target", "state"),
    [
        pytest.param(True, True, CallbackState.PENDING, id="delivered again"),
        pytest.param(True, False, CallbackState.FAILED, id="there is no URL"),
        pytest.param(False, True, CallbackState.FAILED, id="the sync wants none"),
    ],
)
def test_a_request_for_another_delivery_is_served_once(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    wanted: bool,  # noqa: FBT001 - a table's column
    has_target: bool,  # noqa: FBT001 - a table's column
    state: CallbackState,
) -> None:
    failed = CallbackStatus(state=CallbackState.FAILED, id="msg_x", attempts=10)
    spec = EstimateSyncSpec(callback=CallbackSpec(enabled=wanted))
    sync = make_sync(phase=Phase.FAILED, observed_generation=1, completion_time=NOW, callback=failed, spec=spec)
    sync.metadata.annotations[ANNOTATION_REDELIVER] = "monday"

    plan = build_plan(sync, Seen(has_target=has_target), now=NOW, settings=settings)

    assert plan.status is not None
    assert plan.status.callback is not None
    assert (plan.status.callback.state, plan.status.callback.redelivery) == (state, "monday")
    assert plan.requeue_after == AT_ONCE


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        pytest.param(_job(JobState.ACTIVE), True, id="at work"),
        pytest.param(_job(JobState.PENDING), False, id="waiting for a pod"),
        pytest.param(_job(JobState.ACTIVE, **LOST), False, id="its node does not answer"),
    ],
)
def test_only_the_log_of_a_job_at_work_is_read(job: JobObservation, *, expected: bool) -> None:
    assert job.is_progressing is expected


def test_progress_is_shown_with_the_next_reading_in_mind(
    make_sync: MakeSync, settings: ReconcilerSettings, running: dict[str, Any]
) -> None:
    progress = build_progress(page=9, total_pages=17, fetched=900)
    seen = Seen(job=_job(JobState.ACTIVE), progress=progress, next_reading=timedelta(milliseconds=500))

    plan = build_plan(make_sync(**running), seen, now=NOW, settings=settings)

    assert plan.status is not None
    assert plan.status.progress == progress
    assert plan.requeue_after == timedelta(milliseconds=500)


@pytest.mark.parametrize(
    ("marks", "results", "deleted"),
    [
        pytest.param(True, Results(deleted_estimates=3), 3, id="marked"),
        pytest.param(True, Results(), 0, id="by a version that marks nothing"),
        pytest.param(True, None, 0, id="failed"),
        pytest.param(False, Results(), UNSET, id="off"),
        pytest.param(False, None, UNSET, id="off, and failed"),
        pytest.param(False, Results(deleted_estimates=3), 3, id="switched off while it ran"),
    ],
)
def test_where_deletions_are_marked_each_end_counts_them(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    running: dict[str, Any],
    *,
    marks: bool,
    results: Results | None,
    deleted: int | UnsetType,
) -> None:
    days = DateRange(start=NOW.date(), end=NOW.date())
    error = None if results else ResultError(reason=Reason.LOGIN_FAILED, message="no", retryable=False)
    result = SyncResult(sync_uid="uid-a", date_range=days, results=results or Results(), seconds=1.0, error=error)
    state = JobState.SUCCEEDED if results else JobState.FAILED
    job = _job(state, termination_message=build_result_bytes(result).decode(), exit_code=0 if results else 20)

    plan = build_plan(
        make_sync("a", **running),
        Seen(job=job),
        now=NOW,
        settings=msgspec.structs.replace(settings, marks_deletions=marks),
    )

    assert plan.status is not None
    assert plan.status.results is not None
    assert plan.status.results.deleted_estimates == deleted


@pytest.mark.parametrize(
    ("has_metadata", "sent", "expected"),
    [
        pytest.param(True, '{"order":4711}', '{"order":4711}', id="sent"),
        pytest.param(True, None, "null", id="none"),
        pytest.param(False, '{"order":4711}', None, id="not switched on"),
    ],
)
def test_what_the_callback_says_of_metadata_is_on_record_with_the_end(
    make_sync: MakeSync,
    settings: ReconcilerSettings,
    has_metadata: bool,  # noqa: FBT001 - a table's column
    sent: str | None,
    expected: str | None,
) -> None:
    own = msgspec.structs.replace(settings, has_metadata=has_metadata)
    waiting = make_sync(spec=EstimateSyncSpec(cancel=True, metadata=sent))

    ended = build_plan(waiting, Seen(), now=NOW, settings=own).status

    assert ended is not None
    assert (ended.phase, ended.metadata) == (Phase.CANCELLED, expected)
    # After that it stays, whatever the settings are then.
    later = msgspec.structs.replace(settings, has_metadata=not has_metadata)
    finished = msgspec.structs.replace(waiting, status=ended)
    finished.metadata.annotations[ANNOTATION_REDELIVER] = "monday"
    again = build_plan(finished, Seen(), now=NOW, settings=later).status
    assert again is not None
    assert again.metadata == expected

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.log_lines import Trouble
from estimatesync_contract.result import ResultError
from estimatesync_contract.spec import DEFAULT_OPTIONS, DateRange, EstimateSyncSpec, Options
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_contract.status import (
    CallbackState,
    CallbackStatus,
    ConditionStatus,
    EstimateSyncStatus,
    Phase,
    QueuePlace,
    Results,
    build_progress,
)
from estimatesync_operator.core import lifecycle
from estimatesync_operator.core.job_observation import JobObservation, JobState
from estimatesync_operator.core.outcomes import CANCELLED, Outcome
from estimatesync_operator.core.queue_order import QueueDecision
from estimatesync_operator.core.retention import compute_expiry

MakeSync = Callable[..., EstimateSync]

NOW = datetime(2025, 10, 16, 2, 9, 0, 123456, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
MY_TURN = QueueDecision(may_start=True, reason=Reason.STARTING, message="Starting")
NOT_YET = QueueDecision(may_start=False, reason=Reason.QUEUED, message="Position 2", place=QueuePlace(position=2))
SUCCESS = Outcome(
    phase=Phase.SUCCEEDED,
    reason=Reason.SUCCEEDED,
    message="done",
    results=Results(total_fetched=101, total_processed=101),
    pages=2,
)
PROGRESS = build_progress(page=9, total_pages=17, fetched=900)


def _finish(sync: EstimateSync, outcome: Outcome = SUCCESS, **changes: Any) -> EstimateSyncStatus:
    arguments = {"now": NOW, "job": None, "environment": "staging", "has_target": True, **changes}
    return lifecycle.compute_final_status(sync, outcome, **arguments)


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        pytest.param("UTC", date(2025, 9, 1), date(2025, 10, 16), id="utc"),
        pytest.param("America/New_York", date(2025, 8, 31), date(2025, 10, 15), id="still yesterday there"),
    ],
)
def test_the_default_range_ends_today_where_the_business_is(
    make_sync: MakeSync, zone: str, start: date, end: date
) -> None:
    status = lifecycle.compute_queue_status(
        make_sync(), NOT_YET, now=NOW, time_zone=ZoneInfo(zone), default_options=DEFAULT_OPTIONS
    )

    assert status.date_range == DateRange(start=start, end=end)


def test_a_range_that_was_asked_for_is_kept(make_sync: MakeSync) -> None:
    asked = DateRange(start=date(2025, 1, 1), end=date(2025, 1, 2))
    sync = make_sync(generation=4, spec=EstimateSyncSpec(date_range=asked))

    status = lifecycle.compute_queue_status(sync, NOT_YET, now=NOW, time_zone=UTC_ZONE, default_options=DEFAULT_OPTIONS)

    assert (status.phase, status.date_range, status.observed_generation) == (Phase.QUEUED, asked, 4)
    assert len(status.conditions) == 5


def test_a_slot_is_recorded_with_the_job_name_and_a_whole_second(make_sync: MakeSync) -> None:
    sync = make_sync(phase=Phase.QUEUED, age=1)

    status = lifecycle.compute_queue_status(sync, MY_TURN, now=NOW, time_zone=UTC_ZONE, default_options=DEFAULT_OPTIONS)

    assert (status.phase, status.job_name) == (Phase.RUNNING, "estimatesync-uid-a")
    assert status.start_time == NOW.replace(microsecond=0)


def test_no_sync_starts_before_it_is_created_nor_ends_before_it_starts(make_sync: MakeSync) -> None:
    sync = make_sync(phase=Phase.QUEUED)
    started = lifecycle.compute_queue_status(
        sync, MY_TURN, now=NOW, time_zone=UTC_ZONE, default_options=DEFAULT_OPTIONS
    )
    running = make_sync(**{name: getattr(started, name) for name in started.__struct_fields__})

    ended = lifecycle.compute_final_status(
        running, CANCELLED, now=NOW, job=None, environment="production", has_target=True
    )

    assert sync.metadata.creation_timestamp == started.start_time == ended.completion_time
    assert ended.duration_seconds == 0


def test_who_has_to_wait_stays_queued(make_sync: MakeSync) -> None:
    status = lifecycle.compute_queue_status(
        make_sync(phase=Phase.QUEUED), NOT_YET, now=NOW, time_zone=UTC_ZONE, default_options=DEFAULT_OPTIONS
    )

    assert (status.phase, status.message, status.job_name) == (Phase.QUEUED, "Position 2", None)


@pytest.mark.parametrize(
    ("observation", "read", "message"),
    [
        pytest.param(
            JobObservation(state=JobState.PENDING),
            None,
            "Created job estimatesync-x; waiting for its run to start",
            id="no run",
        ),
        pytest.param(
            JobObservation(state=JobState.PENDING, failed_runs=1),
            None,
            "Waiting for its next run to start (run 2)",
            id="no second run",
        ),
        pytest.param(JobObservation(state=JobState.ACTIVE), None, "Connecting", id="no page yet"),
        pytest.param(
            JobObservation(state=JobState.ACTIVE), PROGRESS, "Page 9/17, 900 estimates so far", id="pages arrive"
        ),
        pytest.param(
            JobObservation(state=JobState.ACTIVE, failed_runs=1), None, "Connecting (run 2)", id="the second run"
        ),
    ],
)
def test_a_running_sync_says_what_it_is_doing(
    make_sync: MakeSync, running: dict[str, Any], observation: JobObservation, read: Any, message: str
) -> None:
    status = lifecycle.compute_running_status(make_sync(**running), observation, read, now=NOW, max_evictions=5)

    assert (status.reason, status.message, status.progress) == (Reason.RUNNING, message, read)


@pytest.mark.parametrize("read", [None, PROGRESS])
def test_a_running_sync_says_whom_it_waits_for_until_it_goes_on(
    make_sync: MakeSync, running: dict[str, Any], read: Any
) -> None:
    trouble = Trouble(
        happened="nothing listens at attic.example:443",
        attempt=6,
        attempts=7,
        at="14:09:12",
        cause=SpecificCause.SOURCE_NOT_LISTENING,
    )
    job = JobObservation(state=JobState.ACTIVE)

    waiting = lifecycle.compute_running_status(
        make_sync(**running), job, read, now=NOW, trouble=trouble, max_evictions=5
    )
    sync = make_sync(**{name: getattr(waiting, name) for name in waiting.__struct_fields__})
    going_on = lifecycle.compute_running_status(sync, job, PROGRESS, now=NOW, max_evictions=5)

    assert (waiting.reason, waiting.cause, waiting.progress) == (Reason.RUNNING, "SourceNotListening", read)
    assert waiting.message == (
        "Attic Tech is not available: nothing listens at attic.example:443; attempt 6 of 7 at 14:09:12 UTC"
    )
    assert (going_on.message, going_on.cause) == ("Page 9/17, 900 estimates so far", None)


def test_a_sync_that_is_being_stopped_waits_for_nobody(make_sync: MakeSync, running: dict[str, Any]) -> None:
    sync = make_sync(**running, cause="SourceNotListening", spec=EstimateSyncSpec(cancel=True))

    assert lifecycle.compute_stopping_status(sync, now=NOW).cause is None


def test_another_run_says_why_the_one_before_has_failed(
    make_sync: MakeSync, running: dict[str, Any], finished_job: Callable[..., JobObservation]
) -> None:
    error = ResultError(
        reason=Reason.SOURCE_UNAVAILABLE, message="No answer.", retryable=True, cause="SourceOutOfReach"
    )
    sync = make_sync(**running)
    result = finished_job(sync.name, error).termination_message
    job = JobObservation(state=JobState.PENDING, failed_runs=1, termination_message=result)

    status = lifecycle.compute_running_status(sync, job, None, now=NOW, max_evictions=5)

    waiting = "Waiting for its next run to start (run 2). Run 1 failed: No answer."
    assert (status.message, status.cause) == (waiting, "SourceOutOfReach")


def test_the_cause_of_a_failed_run_stays_until_the_next_one_has_read_a_page(
    make_sync: MakeSync, running: dict[str, Any], finished_job: Callable[..., JobObservation]
) -> None:
    error = ResultError(
        reason=Reason.SOURCE_UNAVAILABLE, message="No answer.", retryable=True, cause="SourceOutOfReach"
    )
    seen, sync = [], make_sync(**running, progress=PROGRESS)
    result = finished_job(sync.name, error).termination_message

    for state, read in ((JobState.PENDING, None), (JobState.ACTIVE, None), (JobState.ACTIVE, PROGRESS)):
        job = JobObservation(state=state, failed_runs=1, termination_message=result)
        status = lifecycle.compute_running_status(sync, job, read, now=NOW, max_evictions=5)
        seen.append((status.message, status.cause))
        sync = make_sync(**{name: getattr(status, name) for name in status.__struct_fields__})
    later = lifecycle.compute_running_status(sync, job, None, now=NOW, max_evictions=5)

    assert seen == [
        ("Waiting for its next run to start (run 2). Run 1 failed: No answer.", "SourceOutOfReach"),
        ("Connecting (run 2). Run 1 failed: No answer.", "SourceOutOfReach"),
        ("Page 9/17, 900 estimates so far (run 2)", None),
    ]
    assert (later.message, later.cause, later.progress) == (*seen[-1], PROGRESS)


def test_a_log_that_cannot_be_read_for_a_moment_does_not_reset_progress(
    make_sync: MakeSync, running: dict[str, Any]
) -> None:
    seen = lifecycle.compute_running_status(
        make_sync(**running), JobObservation(state=JobState.ACTIVE), PROGRESS, now=NOW, max_evictions=5
    )
    sync = make_sync(**{name: getattr(seen, name) for name in seen.__struct_fields__})

    assert (
        lifecycle.compute_running_status(sync, JobObservation(state=JobState.ACTIVE), None, now=NOW, max_evictions=5)
        == seen
    )


def test_a_blocker_is_shown_and_its_message_bounded(make_sync: MakeSync, running: dict[str, Any]) -> None:
    stuck = JobObservation(state=JobState.PENDING, waiting_reason="ErrImagePull", waiting_message="x\n" * 2000)

    status = lifecycle.compute_running_status(make_sync(**running), stuck, None, now=NOW, max_evictions=5)

    assert status.reason == Reason.IMAGE_PULL_FAILED
    assert len(status.message or "") < 1024
    assert "\n" not in (status.message or "")


def test_a_blocker_quotes_the_node(make_sync: MakeSync, running: dict[str, Any]) -> None:
    observation = JobObservation(state=JobState.PENDING, waiting_reason="Unschedulable", waiting_message="0/3 nodes")

    status = lifecycle.compute_running_status(make_sync(**running), observation, None, now=NOW, max_evictions=5)

    assert (status.reason, status.message) == (
        Reason.UNSCHEDULABLE,
        "No node can take the sync. Check resources, node selector and tolerations: 0/3 nodes",
    )


def test_a_blocker_is_remembered_while_the_job_is_ending(make_sync: MakeSync, running: dict[str, Any]) -> None:
    sync = make_sync(**{**running, "reason": "ImagePullFailed", "message": "cannot be pulled"})
    ending = JobObservation(state=JobState.PENDING, failure_reason="DeadlineExceeded")

    status = lifecycle.compute_running_status(sync, ending, None, now=NOW, max_evictions=5)

    assert (status.reason, status.message) == ("ImagePullFailed", "cannot be pulled")


@pytest.mark.parametrize(
    ("seconds_after_start", "duration", "text"),
    [
        pytest.param(487, 487, "8m7s", id="as the job says"),
        pytest.param(-5, 0, "0s", id="a clock that is behind ours"),
        pytest.param(365 * 86_400, 3600, "1h", id="a clock that is ahead of ours"),
    ],
)
def test_the_end_comes_from_the_job_neither_before_the_start_nor_in_the_future(
    make_sync: MakeSync, running: dict[str, Any], seconds_after_start: int, duration: int, text: str
) -> None:
    sync = make_sync(**running)
    finished_at = running["start_time"] + timedelta(seconds=seconds_after_start)
    job = JobObservation(state=JobState.SUCCEEDED, finished_at=finished_at)

    ended = _finish(sync, job=job, now=running["start_time"] + timedelta(hours=1))

    assert (ended.duration_seconds, ended.duration) == (duration, text)


def test_a_success_shows_all_its_pages(make_sync: MakeSync, running: dict[str, Any]) -> None:
    status = _finish(make_sync(**running, progress=PROGRESS))

    assert status.progress == build_progress(page=2, total_pages=2, fetched=101)
    assert {condition.type for condition in status.conditions if condition.status is ConditionStatus.TRUE} == {
        "Finished",
        "Complete",
    }


def test_what_an_earlier_run_has_stored_is_shown_with_the_pages_that_it_read(
    make_sync: MakeSync, running: dict[str, Any]
) -> None:
    progress = _finish(make_sync(**running, progress=PROGRESS), msgspec.structs.replace(SUCCESS, pages=None)).progress

    assert progress == build_progress(page=17, total_pages=17, fetched=101)


def test_a_success_that_found_nothing_is_complete_as_well(make_sync: MakeSync, running: dict[str, Any]) -> None:
    nothing = Outcome(phase=Phase.SUCCEEDED, reason=Reason.SUCCEEDED, message="done")

    progress = _finish(make_sync(**running), nothing).progress

    assert progress is not None
    assert (progress.text, progress.percent, progress.fetched) == ("1/1", 100, 0)


def test_a_sync_cancelled_in_the_line_took_no_time(make_sync: MakeSync) -> None:
    status = _finish(make_sync(phase=Phase.QUEUED), CANCELLED)

    assert (status.phase, status.duration_seconds, status.results) == (Phase.CANCELLED, 0, Results())


def test_the_outcome_and_the_callback_that_is_owed_are_one_status(make_sync: MakeSync, running: dict[str, Any]) -> None:
    callback = _finish(make_sync(**running)).callback

    assert callback == CallbackStatus(state=CallbackState.PENDING, id="msg_uid-a", environment="staging")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({}, None, id="not finished"),
        pytest.param({"callback": CallbackStatus(state=CallbackState.RETRYING)}, None, id="callback under way"),
        pytest.param({"callback": CallbackStatus(state=CallbackState.DELIVERED)}, 60, id="delivered"),
        pytest.param({"callback": CallbackStatus(state=CallbackState.FAILED)}, 60, id="delivery given up"),
        pytest.param({"callback": None}, 60, id="no callback on record"),
    ],
)
def test_a_sync_expires_only_after_its_callback(
    make_sync: MakeSync, status: dict[str, Any], expected: int | None
) -> None:
    completion = {"completion_time": NOW} if status else {}

    sync = make_sync(spec=EstimateSyncSpec(ttl_seconds_after_finished=60), **completion, **status)
    expiry = compute_expiry(sync, default_ttl=timedelta(days=7))

    assert expiry == (None if expected is None else NOW + timedelta(seconds=expected))


def test_a_refused_sync_gives_up_when_its_time_is_over(make_sync: MakeSync) -> None:
    sync = make_sync(spec=EstimateSyncSpec(timeout_seconds=60), start_time=NOW)

    assert lifecycle.compute_give_up_time(sync) == NOW + timedelta(seconds=60)


@pytest.mark.parametrize("read", [lifecycle.get_date_range, lifecycle.compute_give_up_time])
def test_a_sync_that_was_never_reconciled_is_a_defect(
    make_sync: MakeSync, read: Callable[[EstimateSync], object]
) -> None:
    with pytest.raises(ValueError, match="has a"):
        read(make_sync())


def test_a_range_does_not_move_while_a_sync_waits(make_sync: MakeSync) -> None:
    sync = make_sync(phase=Phase.QUEUED, date_range=DateRange(start=date(2025, 1, 1), end=date(2025, 2, 14)))

    status = lifecycle.compute_queue_status(sync, MY_TURN, now=NOW, time_zone=UTC_ZONE, default_options=DEFAULT_OPTIONS)

    assert status.date_range == sync.status.date_range


def test_what_a_spec_leaves_open_the_deployment_decides_once(make_sync: MakeSync) -> None:
    small = Options(page_size=20, concurrency=1, timeout_seconds=60, max_retries=5)
    spec = EstimateSyncSpec(max_retries=0, timeout_seconds=900)
    settle = partial(lifecycle.compute_queue_status, queue=NOT_YET, now=NOW, time_zone=UTC_ZONE)

    status = settle(make_sync(spec=spec), default_options=small)
    later = settle(make_sync(spec=spec, options=status.options), default_options=DEFAULT_OPTIONS)

    assert status.options == Options(page_size=20, concurrency=1, timeout_seconds=900, max_retries=0)
    assert later.options == status.options


def test_a_job_that_was_just_created_needs_no_second_word(make_sync: MakeSync, running: dict[str, Any]) -> None:
    created = lifecycle.compute_created_status(make_sync(**running), now=NOW)
    sync = make_sync(**{name: getattr(created, name) for name in created.__struct_fields__})

    seen = lifecycle.compute_running_status(
        sync, JobObservation(state=JobState.PENDING), None, now=NOW, max_evictions=5
    )

    assert seen == created


@pytest.mark.parametrize(
    ("status", "known_pod", "seen", "expected"),
    [
        pytest.param({}, None, {}, (None, None), id="not observed yet"),
        pytest.param({}, None, {"pod_name": "a"}, (None, None), id="the first pod alone is not a change"),
        pytest.param({}, None, {"pod_name": "a", "waiting_reason": "ErrImagePull"}, ("a", 1), id="but goes with other"),
        pytest.param({}, "a", {"waiting_reason": "NodeLost"}, ("a", 1), id="remembered from before"),
        pytest.param({}, "a", {"pod_name": "b"}, ("b", 2), id="another than remembered"),
        pytest.param({"pod_name": "a", "runs": 1}, None, {"pod_name": "b"}, ("b", 2), id="another than on record"),
        pytest.param({"pod_name": "b", "runs": 2}, "b", {"pod_name": "b"}, ("b", 2), id="the same"),
        pytest.param({"pod_name": "b", "runs": 2}, "b", {}, ("b", 2), id="not observed again"),
    ],
)
def test_the_pods_of_a_sync_are_counted_as_they_are_seen(
    make_sync: MakeSync,
    running: dict[str, Any],
    status: dict[str, Any],
    known_pod: str | None,
    seen: dict[str, Any],
    expected: tuple[str | None, int | None],
) -> None:
    created = lifecycle.compute_created_status(make_sync(**running, **status), now=NOW)
    sync = make_sync(**{name: getattr(created, name) for name in created.__struct_fields__})
    observation = JobObservation(state=JobState.PENDING, **seen)

    after = lifecycle.compute_running_status(sync, observation, None, now=NOW, known_pod=known_pod, max_evictions=5)

    assert (after.pod_name, after.runs) == expected


@pytest.mark.parametrize(
    ("before", "seen", "expected"),
    [
        pytest.param({}, "a", ("a", 1), id="the only pod"),
        pytest.param({"pod_name": "a", "runs": 1}, "b", ("b", 2), id="one that came after the last observation"),
        pytest.param({"pod_name": "b", "runs": 2}, None, ("b", 2), id="none that is left"),
    ],
)
def test_the_end_names_the_pod_that_did_the_work(
    make_sync: MakeSync, running: dict[str, Any], before: dict[str, Any], seen: str | None, expected: tuple[str, int]
) -> None:
    sync = make_sync(**running, **before)

    ended = _finish(sync, job=JobObservation(state=JobState.SUCCEEDED, pod_name=seen))

    assert (ended.pod_name, ended.runs) == expected


@pytest.mark.parametrize(
    ("runs", "failed_runs", "is_over"),
    [
        pytest.param(3, 0, False, id="evicted twice"),
        pytest.param(4, 0, True, id="evicted three times"),
        pytest.param(5, 2, False, id="two of them were failures"),
    ],
)
def test_a_sync_is_taken_off_its_node_so_often_and_no_more(
    make_sync: MakeSync, running: dict[str, Any], runs: int, failed_runs: int, *, is_over: bool
) -> None:
    sync = make_sync(**running, pod_name="old", runs=runs - 1)
    observation = JobObservation(state=JobState.PENDING, pod_name="new", failed_runs=failed_runs)

    status = lifecycle.compute_running_status(sync, observation, None, now=NOW, max_evictions=2)

    assert (status.reason == Reason.EVICTED_TOO_OFTEN) is is_over
    assert ("took the sync off its node 3 times" in (status.message or "")) is is_over

"""What a job does next and what it reports, for every way a run can end; the semantics are a Kubernetes Job's."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.result import ResultError, SyncResult, build_result_bytes
from estimatesync_contract.spec import DateRange
from estimatesync_contract.status import Results
from estimatesync_local.core.job_logic import (
    Backoff,
    Job,
    JobRecord,
    Run,
    Step,
    compute_deadline,
    decide_step,
    map_observation,
    next_run_number,
)
from estimatesync_operator.core.job_observation import ABSENT_JOB, JobState

BEGUN = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)
UID = "0d5a"


def at(seconds: float) -> datetime:
    return BEGUN + timedelta(seconds=seconds)


def build_job(*runs: Run, is_removed: bool = False, deadline_exceeded_at: datetime | None = None) -> Job:
    record = JobRecord(
        sync_name="a", sync_uid=UID, created_at=BEGUN, timeout_seconds=600, max_retries=2, environment={}
    )
    return Job(record=record, runs=runs, is_removed=is_removed, deadline_exceeded_at=deadline_exceeded_at)


def build_run(number: int = 1, *, begin: float = 0, end: float | None = None, **changes: Any) -> Run:
    """A run that is alive, or ended at `end` seconds."""
    finished_at = None if end is None else at(end)
    fields = {"started_at": at(begin), "finished_at": finished_at, "is_alive": end is None} | changes
    return Run(number=number, prepared_at=at(begin), **fields)


def build_message(*, retryable: bool | None = None, sync_uid: str = UID) -> str:
    error = None if retryable is None else ResultError(reason=Reason.SOURCE_INVALID, message="x", retryable=retryable)
    days = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
    result = SyncResult(sync_uid=sync_uid, date_range=days, results=Results(), seconds=1, error=error)
    return build_result_bytes(result).decode()


FAILED = build_run(1, end=20, exit_code=10)
SECOND = build_run(2, begin=30, end=40, exit_code=10)


@pytest.mark.parametrize(
    ("job", "now", "expected"),
    [
        pytest.param(build_job(), 0, Step.START_RUN, id="new"),
        pytest.param(build_job(build_run()), 5, Step.WAIT, id="running"),
        pytest.param(build_job(build_run(end=9, exit_code=0)), 9, Step.DONE, id="done"),
        pytest.param(build_job(FAILED), 29, Step.WAIT, id="failed-backs-off-10-s"),
        pytest.param(build_job(FAILED), 30, Step.START_RUN, id="failed-and-waited"),
        pytest.param(build_job(FAILED, build_run(2, end=40, exit_code=10)), 59, Step.WAIT, id="second-backs-off-20-s"),
        pytest.param(build_job(FAILED, build_run(2, end=40, exit_code=10)), 60, Step.START_RUN, id="second-waited"),
        pytest.param(build_job(build_run(end=9, exit_code=20)), 99, Step.DONE, id="permanent"),
        pytest.param(build_job(FAILED, SECOND, build_run(3, begin=70)), 80, Step.WAIT, id="third-runs"),
        pytest.param(build_job(FAILED, SECOND, build_run(3, begin=70, end=80, exit_code=0)), 99, Step.DONE, id="third"),
        pytest.param(
            build_job(FAILED, build_run(2, begin=30, end=40, exit_code=20)), 99, Step.DONE, id="second-permanent"
        ),
        pytest.param(
            build_job(FAILED, build_run(2, begin=30, end=40, is_interrupted=True), build_run(3, begin=50, end=60)),
            79,
            Step.WAIT,
            id="an-interrupted-one-does-not-count",
        ),
        pytest.param(
            build_job(FAILED, build_run(2, begin=30, end=40, is_interrupted=True), build_run(3, begin=50, end=60)),
            80,
            Step.START_RUN,
            id="two-counted-ones-back-off-20-s",
        ),
        pytest.param(build_job(build_run()), 599, Step.WAIT, id="just-before-the-deadline"),
        pytest.param(build_job(build_run(end=9)), 19, Step.START_RUN, id="lost-counts-as-failed"),
        pytest.param(
            build_job(build_run(end=9, exit_code=10, is_interrupted=True)), 9, Step.START_RUN, id="interrupted-at-once"
        ),
        pytest.param(
            build_job(build_run(end=9, exit_code=0, is_interrupted=True)), 9, Step.DONE, id="interrupted-but-done"
        ),
        pytest.param(build_job(Run(number=1, prepared_at=at(3))), 12, Step.WAIT, id="prepared-never-begun-waits-first"),
        pytest.param(build_job(Run(number=1, prepared_at=at(3))), 13, Step.START_RUN, id="prepared-never-begun"),
        pytest.param(build_job(build_run()), 600, Step.DEADLINE_EXCEEDED, id="deadline-while-running"),
        pytest.param(build_job(FAILED), 600, Step.DEADLINE_EXCEEDED, id="deadline-in-back-off"),
        pytest.param(build_job(build_run(), deadline_exceeded_at=at(600)), 601, Step.END_RUN, id="deadline-hit-alive"),
        pytest.param(build_job(FAILED, deadline_exceeded_at=at(600)), 601, Step.DONE, id="deadline-hit-ended"),
        pytest.param(build_job(build_run(), is_removed=True), 5, Step.END_RUN, id="removed-alive"),
        pytest.param(build_job(FAILED, is_removed=True), 99, Step.DONE, id="removed-ended"),
        pytest.param(build_job(is_removed=True), 0, Step.DONE, id="removed-before-it-began"),
    ],
)
def test_the_next_step_follows_from_what_is_true_now(job: Job, now: float, expected: Step) -> None:
    moment = at(now)

    step = decide_step(job, now=moment, backoff=Backoff())

    assert step is expected


def test_no_run_follows_the_last_one_allowed() -> None:
    runs = [build_run(number, begin=number * 50, end=number * 50 + 10, exit_code=10) for number in (1, 2, 3)]

    observation = map_observation(build_job(*runs))

    assert decide_step(build_job(*runs), now=at(500), backoff=Backoff()) is Step.DONE
    assert observation.state is JobState.FAILED
    assert observation.failure_reason == "BackoffLimitExceeded"
    assert observation.failed_runs == 3
    assert observation.finished_at == at(160)


@pytest.mark.parametrize(
    ("run", "state", "exit_code", "failed_runs"),
    [
        pytest.param({"exit_code": 0}, JobState.SUCCEEDED, 0, 0, id="exit-code-alone-decides"),
        pytest.param({"exit_code": 10}, JobState.PENDING, 10, 1, id="retryable"),
        pytest.param({"exit_code": 20}, JobState.FAILED, 20, 1, id="permanent"),
        pytest.param({"exit_code": 137}, JobState.PENDING, 137, 1, id="killed"),
        pytest.param({}, JobState.PENDING, None, 1, id="lost-without-a-word"),
        pytest.param({"termination_message": build_message()}, JobState.SUCCEEDED, 0, 0, id="lost-but-done"),
        pytest.param(
            {"termination_message": build_message(retryable=True)}, JobState.PENDING, 10, 1, id="lost-retryable"
        ),
        pytest.param(
            {"termination_message": build_message(retryable=False)}, JobState.FAILED, 20, 1, id="lost-permanent"
        ),
        pytest.param(
            {"termination_message": build_message(sync_uid="another")}, JobState.PENDING, None, 1, id="lost-foreign"
        ),
        pytest.param({"exit_code": 10, "is_interrupted": True}, JobState.PENDING, None, 0, id="interrupted"),
    ],
)
def test_the_end_of_a_run_shows_as_a_pod_would(
    run: dict[str, Any], state: JobState, exit_code: int | None, failed_runs: int
) -> None:
    job = build_job(build_run(end=9, **run))

    observation = map_observation(job)

    assert (observation.state, observation.exit_code, observation.failed_runs) == (state, exit_code, failed_runs)


def test_the_message_of_the_newest_ended_run_shows_while_the_next_one_runs() -> None:
    first = build_run(1, end=20, exit_code=10, termination_message="first")

    observation = map_observation(build_job(first, build_run(2, begin=30)))

    assert observation.state is JobState.ACTIVE
    assert observation.termination_message == "first"
    assert observation.container_reason == "Error"


def test_of_several_runs_the_newest_that_has_ended_shows() -> None:
    third = build_run(3, begin=70, end=80, exit_code=20, termination_message="third")

    observation = map_observation(build_job(FAILED, SECOND, third))

    assert (observation.state, observation.failure_reason) == (JobState.FAILED, "PodFailurePolicy")
    assert (observation.termination_message, observation.exit_code, observation.failed_runs) == ("third", 20, 3)
    assert observation.finished_at == at(80)
    assert observation.failure_message == "The run failed in a way that another run cannot fix"


def test_a_run_that_is_done_shows_as_completed() -> None:
    observation = map_observation(build_job(FAILED, SECOND, build_run(3, begin=70, end=80, exit_code=0)))

    assert (observation.state, observation.container_reason) == (JobState.SUCCEEDED, "Completed")
    assert (observation.failure_reason, observation.failure_message) == (None, None)
    assert (observation.failed_runs, observation.finished_at) == (2, at(80))


def test_a_deadline_takes_what_the_run_had_to_say() -> None:
    run = build_run(end=603, exit_code=10, termination_message="interrupted")

    observation = map_observation(build_job(run, deadline_exceeded_at=at(600)))

    assert (observation.state, observation.failure_reason) == (JobState.FAILED, "DeadlineExceeded")
    assert (observation.termination_message, observation.exit_code) == (None, None)
    assert observation.finished_at == at(600)


def test_a_run_that_succeeded_just_before_its_deadline_counts() -> None:
    run = build_run(end=601, exit_code=0, termination_message="done")

    observation = map_observation(build_job(run, deadline_exceeded_at=at(600)))

    assert (observation.state, observation.termination_message) == (JobState.SUCCEEDED, "done")


@pytest.mark.parametrize("run", [pytest.param(build_run(), id="at work"), pytest.param(FAILED, id="failed")])
def test_a_removed_job_is_absent(run: Run) -> None:
    assert map_observation(build_job(run, is_removed=True)) == ABSENT_JOB


@pytest.mark.parametrize(
    ("exit_code", "is_removed"),
    [
        pytest.param(0, True, id="its job was removed meanwhile"),
        pytest.param(-9, True, id="and it was killed"),
        pytest.param(-9, False, id="it was killed on its way out"),
        pytest.param(None, False, id="its end was not recorded"),
    ],
)
def test_a_run_that_says_that_it_has_stored_everything_has_succeeded(
    exit_code: int | None, *, is_removed: bool
) -> None:
    run = build_run(end=9, exit_code=exit_code, termination_message=build_message())

    observation = map_observation(build_job(run, is_removed=is_removed))

    assert (observation.state, observation.termination_message) == (JobState.SUCCEEDED, build_message())


def test_the_time_a_stopped_server_was_away_is_not_counted() -> None:
    interrupted = build_run(1, end=300, exit_code=10, is_interrupted=True)

    before = compute_deadline(build_job(interrupted))
    after = compute_deadline(build_job(interrupted, build_run(2, begin=50_000)))

    assert before is None
    assert after == at(50_600)


def test_a_run_that_never_began_keeps_its_number() -> None:
    prepared = Run(number=2, prepared_at=at(30))

    assert next_run_number(build_job(FAILED, prepared)) == 2
    assert next_run_number(build_job(FAILED)) == 2
    assert next_run_number(build_job(FAILED, SECOND, build_run(3, begin=70))) == 4
    assert next_run_number(build_job()) == 1


def test_the_back_off_ends_at_six_minutes() -> None:
    runs = [build_run(number, end=0, exit_code=10) for number in range(1, 9)]
    record = JobRecord(
        sync_name="a", sync_uid=UID, created_at=BEGUN, timeout_seconds=6000, max_retries=10, environment={}
    )
    job = Job(record=record, runs=tuple(runs))

    steps = [decide_step(job, now=at(seconds), backoff=Backoff()) for seconds in (359, 360)]

    assert steps == [Step.WAIT, Step.START_RUN]

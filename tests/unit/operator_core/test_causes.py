from collections.abc import Callable
from typing import Any

import pytest
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.reasons import Reason
from estimatesync_contract.result import ResultError
from estimatesync_contract.spec import EstimateSyncSpec
from estimatesync_contract.status import Phase, Results
from estimatesync_operator.causes import MESSAGES, compute_obstacle, compute_outcome, fail
from estimatesync_operator.observation import JobObservation, JobState

MakeSync = Callable[..., EstimateSync]
Finished = Callable[..., JobObservation]


def _failed(**fields: Any) -> JobObservation:
    return JobObservation(state=JobState.FAILED, **{"failure_reason": "BackoffLimitExceeded", **fields})


def test_a_good_result_is_a_success_with_its_counts(make_sync: MakeSync, finished_job: Finished) -> None:
    outcome = compute_outcome(finished_job("a"), make_sync("a"))

    assert (outcome.phase, outcome.reason, outcome.message) == (
        Phase.SUCCEEDED,
        Reason.SUCCEEDED,
        "New: 45, Updated: 1564",
    )
    assert outcome.results.total_processed == 1609


@pytest.mark.parametrize(
    ("observation", "reason", "words"),
    [
        pytest.param(
            _failed(termination_message="", exit_code=137, container_reason="OOMKilled"),
            Reason.OUT_OF_MEMORY,
            "memory limit",
            id="out of memory",
        ),
        pytest.param(
            _failed(termination_message="", exit_code=None, container_reason="Evicted"),
            Reason.EVICTED,
            "node's memory",
            id="evicted",
        ),
        pytest.param(
            _failed(termination_message="", exit_code=139, container_reason="Error"),
            Reason.POD_FAILED,
            "exit code 139",
            id="crashed",
        ),
        pytest.param(_failed(), Reason.RESULT_MISSING, "result is gone", id="pod gone"),
        pytest.param(
            JobObservation(state=JobState.SUCCEEDED, termination_message="", exit_code=0),
            Reason.RESULT_MISSING,
            "result is gone",
            id="done without a word",
        ),
        pytest.param(
            JobObservation(state=JobState.SUCCEEDED, termination_message='{"cut', exit_code=0),
            Reason.RESULT_BROKEN,
            "cannot be read",
            id="result cut short",
        ),
        pytest.param(
            _failed(termination_message="Traceback: a log tail", exit_code=1),
            Reason.RESULT_BROKEN,
            "cannot be read",
            id="log tail instead of a result",
        ),
        pytest.param(
            _failed(failure_reason="DeadlineExceeded"),
            Reason.DEADLINE_EXCEEDED,
            "within 60 seconds",
            id="out of time",
        ),
        pytest.param(
            _failed(failure_reason="DeadlineExceeded", termination_message="an earlier run's", exit_code=10),
            Reason.DEADLINE_EXCEEDED,
            "timeoutSeconds",
            id="out of time after a failed run",
        ),
    ],
)
def test_each_end_without_a_good_result_has_a_reason_a_cure_and_zeros(
    make_sync: MakeSync, observation: JobObservation, reason: Reason, words: str
) -> None:
    outcome = compute_outcome(observation, make_sync("a", spec=EstimateSyncSpec(timeout_seconds=60)))

    assert (outcome.phase, outcome.reason, outcome.results) == (Phase.FAILED, reason, Results())
    assert words in outcome.message


def test_another_syncs_result_is_not_believed(make_sync: MakeSync, finished_job: Finished) -> None:
    assert compute_outcome(finished_job("b"), make_sync("a")).reason is Reason.RESULT_BROKEN


def test_success_from_a_run_that_failed_is_not_believed(make_sync: MakeSync, finished_job: Finished) -> None:
    message = finished_job("a").termination_message

    outcome = compute_outcome(_failed(termination_message=message, exit_code=1), make_sync("a"))

    assert outcome.reason is Reason.RESULT_BROKEN


def test_a_run_that_was_done_when_the_deadline_came_counts(make_sync: MakeSync, finished_job: Finished) -> None:
    message = finished_job("a").termination_message
    late = _failed(failure_reason="DeadlineExceeded", termination_message=message, exit_code=0)

    assert compute_outcome(late, make_sync("a")).phase is Phase.SUCCEEDED


def test_an_error_without_words_still_ends_the_sync_with_words(make_sync: MakeSync, finished_job: Finished) -> None:
    error = ResultError(reason=Reason.LOGIN_FAILED, message="", retryable=False)

    outcome = compute_outcome(finished_job("a", error), make_sync("a"))

    assert outcome.reason is Reason.LOGIN_FAILED
    assert "See its log" in outcome.message


def test_the_obstacle_that_stood_until_the_deadline_is_the_cause(make_sync: MakeSync) -> None:
    sync = make_sync("a", phase=Phase.RUNNING, reason=Reason.SECRET_MISSING, message="a key is missing")

    outcome = compute_outcome(_failed(failure_reason="DeadlineExceeded"), sync)

    assert (outcome.reason, outcome.message) == (Reason.SECRET_MISSING, "a key is missing")


@pytest.mark.parametrize(
    ("waiting_reason", "expected"),
    [
        pytest.param("ErrImagePull", Reason.IMAGE_PULL_FAILED, id="first failed pull"),
        pytest.param("ImagePullBackOff", Reason.IMAGE_PULL_FAILED, id="later failed pulls"),
        pytest.param("ErrImageNeverPull", Reason.IMAGE_PULL_FAILED, id="pull forbidden"),
        pytest.param("InvalidImageName", Reason.IMAGE_PULL_FAILED, id="bad image name"),
        pytest.param("CreateContainerConfigError", Reason.SECRET_MISSING, id="missing secret"),
        pytest.param("Unschedulable", Reason.UNSCHEDULABLE, id="no node"),
        pytest.param("ContainerCreating", None, id="ordinary start"),
        pytest.param(None, None, id="not waiting"),
    ],
)
def test_what_keeps_a_pod_from_starting_is_told_from_an_ordinary_start(
    waiting_reason: str | None, expected: Reason | None
) -> None:
    obstacle = compute_obstacle(JobObservation(state=JobState.PENDING, waiting_reason=waiting_reason))

    assert (obstacle[0] if obstacle else None) == expected


def test_an_obstacle_quotes_the_node() -> None:
    observation = JobObservation(state=JobState.PENDING, waiting_reason="Unschedulable", waiting_message="0/3 nodes")

    assert compute_obstacle(observation) == (
        Reason.UNSCHEDULABLE,
        "No node can take the sync. Check resources, node selector and tolerations: 0/3 nodes",
    )


@pytest.mark.parametrize("reason", MESSAGES)
def test_every_cause_of_the_table_can_be_said(reason: Reason) -> None:
    message = fail(reason, seconds=60, exit_code=1, why="quota").message

    assert message
    assert "{" not in message

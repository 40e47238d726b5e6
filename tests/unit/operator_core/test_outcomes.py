from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.result import ResultError, SyncResult, build_result_bytes
from estimatesync_contract.spec import DateRange, EstimateSyncSpec, Mode
from estimatesync_contract.status import Condition, ConditionStatus, Phase, Results, UnshownFields
from estimatesync_operator.core.job_observation import JobObservation, JobState
from estimatesync_operator.core.outcomes import (
    compute_end,
    compute_give_up,
    compute_outcome,
    judge_unnoticed_failure,
    may_follow,
)
from msgspec import UNSET, UnsetType

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
    assert (outcome.results.total_processed, outcome.pages) == (1609, 17)


@pytest.mark.parametrize(
    ("skipped", "unshown", "message"),
    [
        pytest.param(2, None, "New: 45, Updated: 1564, Skipped: 2", id="skipped"),
        pytest.param(
            0,
            UnshownFields(estimates=3, fields=("branch", "user")),
            "New: 45, Updated: 1564. Attic Tech does not show branch, user of 3: what is stored of these is kept",
            id="not shown",
        ),
    ],
)
def test_a_success_says_what_was_left_out(
    make_sync: MakeSync, skipped: int, unshown: UnshownFields | None, message: str
) -> None:
    results = Results(new_estimates=45, updated_estimates=1564, skipped_estimates=skipped)
    days = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
    result = SyncResult(sync_uid="uid-a", date_range=days, results=results, seconds=1.0, unshown=unshown)
    job = JobObservation(state=JobState.SUCCEEDED, termination_message=build_result_bytes(result).decode())

    outcome = compute_outcome(job, make_sync("a"))

    assert (outcome.message, outcome.unshown) == (message, unshown)


@pytest.mark.parametrize(
    ("mode", "why", "shown", "words"),
    [
        pytest.param(None, None, Mode.WHOLE, "New: 1, Updated: 2", id="as-always"),
        pytest.param(
            Mode.CHANGES, None, Mode.CHANGES, "New: 1, Updated: 2. Only what had changed was read", id="changes"
        ),
        pytest.param(
            Mode.WHOLE,
            "the last sync of the whole range is a week old",
            Mode.WHOLE,
            "New: 1, Updated: 2. The whole range was read: the last sync of the whole range is a week old",
            id="whole-after-all",
        ),
    ],
)
def test_a_success_says_how_it_was_done(
    make_sync: MakeSync, mode: Mode | None, why: str | None, shown: Mode, words: str
) -> None:
    results = Results(new_estimates=1, updated_estimates=2)
    days = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
    result = SyncResult(sync_uid="uid-a", date_range=days, results=results, seconds=1.0, mode=mode, whole_because=why)
    job = JobObservation(state=JobState.SUCCEEDED, termination_message=build_result_bytes(result).decode())

    outcome = compute_outcome(job, make_sync("a"))

    assert (outcome.mode, outcome.message) == (shown, words)


@pytest.mark.parametrize(
    ("deleted", "because", "message"),
    [
        pytest.param(3, None, "New: 45, Updated: 1564, Deleted: 3", id="some"),
        pytest.param(0, None, "New: 45, Updated: 1564", id="none"),
        pytest.param(
            0, "it is odd", "New: 45, Updated: 1564. No estimate was marked as deleted: it is odd", id="in doubt"
        ),
    ],
)
def test_a_success_says_what_is_gone(make_sync: MakeSync, deleted: int, because: str | None, message: str) -> None:
    results = Results(new_estimates=45, updated_estimates=1564, deleted_estimates=deleted)
    days = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
    result = SyncResult(sync_uid="uid-a", date_range=days, results=results, seconds=1.0, unmarked_because=because)
    job = JobObservation(state=JobState.SUCCEEDED, termination_message=build_result_bytes(result).decode())

    assert compute_outcome(job, make_sync("a")).message == message


@pytest.mark.parametrize(
    ("fetched", "previous", "words"),
    [
        pytest.param(
            7, 1609, "New: 7, Updated: 0. Attic Tech has shown 7 estimates, and 1609 the time before", id="drop"
        ),
        pytest.param(805, 1609, "New: 805, Updated: 0", id="half as many"),
        pytest.param(7, 0, "New: 7, Updated: 0", id="more"),
        pytest.param(7, UNSET, "New: 7, Updated: 0", id="the first of such days"),
    ],
)
def test_a_success_says_that_far_fewer_estimates_were_shown(
    make_sync: MakeSync, fetched: int, previous: int | UnsetType, words: str
) -> None:
    results = Results(total_fetched=fetched, new_estimates=fetched, previous_total_fetched=previous)
    days = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
    result = SyncResult(sync_uid="uid-a", date_range=days, results=results, seconds=1.0)
    job = JobObservation(state=JobState.SUCCEEDED, termination_message=build_result_bytes(result).decode())

    outcome = compute_outcome(job, make_sync("a"))

    assert (outcome.message, outcome.results) == (words, results)


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
            _failed(termination_message="", container_reason="Evicted", node_message="The node was low on memory"),
            Reason.EVICTED,
            "new sync: The node was low on memory",
            id="evicted",
        ),
        pytest.param(
            _failed(termination_message="", exit_code=137, container_reason="PreemptionByScheduler"),
            Reason.EVICTED,
            "priorities",
            id="preempted",
        ),
        pytest.param(
            _failed(termination_message="", container_reason="DeletionByPodGC"),
            Reason.NODE_LOST,
            "does not answer",
            id="the node is gone",
        ),
        pytest.param(
            _failed(termination_message="", container_reason="OutOfcpu", node_message="cpu requested 8, free 2"),
            Reason.NODE_REFUSED,
            "(OutOfcpu). Check the node's free resources and labels, then start a new sync: cpu requested 8, free 2",
            id="refused by the node",
        ),
        *(
            pytest.param(
                _failed(termination_message="", container_reason="Evicted", node_message=words),
                Reason.OUT_OF_STORAGE,
                words,
                id=f"over a limit of its own: {words}",
            )
            for words in (
                "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
                "Container sync exceeded its local ephemeral storage limit",
                'Usage of EmptyDir volume "tmp" exceeds the limit "64Mi". ',
            )
        ),
        pytest.param(
            _failed(
                termination_message="", container_reason="Evicted", node_message="low on resource: ephemeral-storage"
            ),
            Reason.EVICTED,
            "disk",
            id="its node's disk is full",
        ),
        pytest.param(
            _failed(
                termination_message="", container_reason="Init:Error", node_message="mesh-init ended with exit code 1"
            ),
            Reason.INIT_CONTAINER_FAILED,
            "then start a new sync: mesh-init ended with exit code 1",
            id="an init container failed",
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


@pytest.mark.parametrize(
    ("status", "became"),
    [
        pytest.param({}, {"failure_reason": "DeadlineExceeded"}, id="the deadline came"),
        pytest.param(
            {}, {"exit_code": 137, "container_reason": "OOMKilled"}, id="its process was killed on its way out"
        ),
        pytest.param({}, {"failure_reason": "BackoffLimitExceeded"}, id="the job counted it as a failure"),
        pytest.param({}, {"container_reason": "Evicted"}, id="it was evicted"),
        pytest.param({}, {"state": JobState.STOPPING}, id="its job was deleted"),
        pytest.param({}, {"state": JobState.PENDING, "companions": ("mesh",)}, id="its pod goes on"),
        pytest.param({}, {"state": JobState.STOPPING, "waiting_reason": "NodeLost"}, id="its node was lost"),
        pytest.param({"spec": EstimateSyncSpec(cancel=True)}, {"state": JobState.STOPPING}, id="it was cancelled"),
        pytest.param({"reason": Reason.EVICTED_TOO_OFTEN}, {"state": JobState.STOPPING}, id="it was given up"),
    ],
)
def test_a_run_that_says_that_it_has_stored_everything_is_a_success_whatever_became_of_it(
    make_sync: MakeSync, finished_job: Finished, status: dict[str, Any], became: dict[str, Any]
) -> None:
    message = finished_job("a").termination_message
    sync = make_sync("a", phase=Phase.RUNNING, **status)
    job = JobObservation(**{"state": JobState.FAILED, "termination_message": message, "exit_code": 0, **became})

    outcome = compute_end(sync, job, given_up_after=timedelta(seconds=600))

    assert (outcome.phase, outcome.results.total_processed) == (Phase.SUCCEEDED, 1609)


@pytest.mark.parametrize(
    ("exit_code", "failed_runs", "may", "expected"),
    [
        pytest.param(10, 0, True, "no answer", id="the first of three"),
        pytest.param(10, 1, True, "no answer (gave up after 2 runs)", id="the second of three"),
        pytest.param(10, 2, False, "no answer (gave up after 3 runs)", id="the last of three"),
        pytest.param(137, 1, True, "no answer (gave up after 2 runs)", id="killed, and another may do better"),
        pytest.param(20, 0, False, "no answer", id="no run could do better"),
        pytest.param(20, 1, False, "no answer", id="the second, and no run could do better"),
        pytest.param(0, 0, False, "no answer", id="its job would count it as a success"),
    ],
)
def test_a_run_that_failed_in_a_pod_that_goes_on_is_judged_as_if_its_pod_had_ended(
    make_sync: MakeSync, finished_job: Finished, exit_code: int, failed_runs: int, *, may: bool, expected: str
) -> None:
    error = ResultError(reason=Reason.SOURCE_UNAVAILABLE, message="no answer", retryable=True)
    seen = JobObservation(
        state=JobState.PENDING,
        termination_message=finished_job("a", error).termination_message,
        exit_code=exit_code,
        companions=("mesh", "logs"),
        failed_runs=failed_runs,
    )
    sync = make_sync("a", spec=EstimateSyncSpec(max_retries=2))

    outcome = judge_unnoticed_failure(seen, sync)

    assert may_follow(seen, sync) is may
    assert (outcome.phase, outcome.reason, outcome.message) == (Phase.FAILED, Reason.SOURCE_UNAVAILABLE, expected)


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        pytest.param("SchemaForeign", "SchemaForeign", id="known"),
        pytest.param("OfANewerVersion", None, id="of another version"),
        pytest.param("<script>" * 100, None, id="no code at all"),
        pytest.param(None, None, id="none"),
    ],
)
def test_what_a_run_says_more_exactly_is_kept_where_it_is_known(
    make_sync: MakeSync, finished_job: Finished, code: str | None, shown: str | None
) -> None:
    error = ResultError(reason=Reason.DATABASE_REFUSED, message="no", retryable=False, cause=code)

    assert compute_outcome(finished_job("a", error), make_sync("a")).cause == shown


def test_an_error_without_words_still_ends_the_sync_with_words(make_sync: MakeSync, finished_job: Finished) -> None:
    error = ResultError(reason=Reason.LOGIN_FAILED, message="", retryable=False)

    outcome = compute_outcome(finished_job("a", error), make_sync("a"))

    assert outcome.reason is Reason.LOGIN_FAILED
    assert outcome.message == "Login to Attic Tech failed. Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD"


def test_the_blocker_that_lasted_until_the_deadline_is_the_cause(make_sync: MakeSync) -> None:
    stalled = Condition(
        type="Stalled",
        status=ConditionStatus.TRUE,
        observed_generation=1,
        last_transition_time=datetime(2025, 10, 16, tzinfo=UTC),
        reason="SecretMissing",
        message="a key is missing",
    )
    blocked = {"reason": Reason.SECRET_MISSING, "message": "a key is missing", "conditions": (stalled,)}
    sync = make_sync("a", phase=Phase.RUNNING, **blocked)

    outcome = compute_outcome(_failed(failure_reason="DeadlineExceeded"), sync)

    assert (outcome.reason, outcome.message) == (Reason.SECRET_MISSING, "a key is missing")


@pytest.mark.parametrize(
    ("container_reason", "reason"),
    [
        pytest.param("TerminationByKubelet", Reason.EVICTED, id="the node knows why"),
        pytest.param("Error", Reason.INTERRUPTED, id="for an unknown reason"),
    ],
)
def test_an_interrupted_run_leaves_the_cause_to_the_node(
    make_sync: MakeSync, finished_job: Finished, container_reason: str, reason: Reason
) -> None:
    error = ResultError(reason=Reason.INTERRUPTED, message="told to stop", retryable=True)
    message = finished_job("a", error).termination_message

    seen = _failed(termination_message=message, exit_code=10, container_reason=container_reason)

    assert compute_outcome(seen, make_sync("a")).reason is reason


@pytest.mark.parametrize(
    ("failure_reason", "failed_runs", "expected"),
    [
        pytest.param("BackoffLimitExceeded", 3, "no answer (gave up after 3 runs)", id="retries exhausted"),
        pytest.param("BackoffLimitExceeded", 1, "no answer", id="no retries allowed"),
        pytest.param("PodFailurePolicy", 3, "no answer", id="a failure that no run can cure"),
    ],
)
def test_who_gave_up_says_after_how_many_runs(
    make_sync: MakeSync, finished_job: Finished, failure_reason: str, failed_runs: int, expected: str
) -> None:
    error = ResultError(reason=Reason.SOURCE_UNAVAILABLE, message="no answer", retryable=True)
    message = finished_job("a", error).termination_message

    seen = _failed(termination_message=message, exit_code=10, failure_reason=failure_reason, failed_runs=failed_runs)

    assert compute_outcome(seen, make_sync("a")).message == expected


def test_giving_up_names_the_blocker_and_how_long_it_lasted(make_sync: MakeSync) -> None:
    sync = make_sync("a", phase=Phase.RUNNING, reason=Reason.UNSCHEDULABLE, message="No node can take the sync")

    outcome = compute_give_up(sync, after=timedelta(seconds=600))

    assert (outcome.phase, outcome.reason) == (Phase.FAILED, Reason.UNSCHEDULABLE)
    assert outcome.message == "Gave up after 600 seconds. No node can take the sync"


@pytest.mark.parametrize(
    ("waiting_reason", "message", "expected"),
    [
        pytest.param("ErrImagePull", None, Reason.IMAGE_PULL_FAILED, id="first failed pull"),
        pytest.param("ImagePullBackOff", None, Reason.IMAGE_PULL_FAILED, id="later failed pulls"),
        pytest.param("ErrImageNeverPull", None, Reason.IMAGE_PULL_FAILED, id="pull forbidden"),
        pytest.param("InvalidImageName", None, Reason.IMAGE_PULL_FAILED, id="bad image name"),
        pytest.param("CreateContainerConfigError", 'secret "x" not found', Reason.SECRET_MISSING, id="missing secret"),
        pytest.param(
            "CreateContainerConfigError",
            "couldn't find key DATABASE_URL in Secret ns/x",
            Reason.SECRET_MISSING,
            id="missing key",
        ),
        pytest.param(
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root",
            Reason.CONTAINER_REFUSED,
            id="image of root",
        ),
        pytest.param("CreateContainerError", None, Reason.CONTAINER_REFUSED, id="runtime refuses"),
        pytest.param("Unschedulable", None, Reason.UNSCHEDULABLE, id="no node"),
        pytest.param("FailedCreate", "exceeded quota", Reason.POD_REFUSED, id="no pod"),
        pytest.param("NodeLost", None, Reason.NODE_LOST, id="node lost"),
        pytest.param("ContainerCreating", None, None, id="ordinary start"),
        pytest.param(
            "FailedCreate",
            "forbidden: failed quota: q: must specify limits.cpu for: sync; limits.ephemeral-storage for: sync",
            Reason.LIMIT_MISSING,
            id="a quota counts what the pod leaves open",
        ),
        pytest.param("JobSuspended", None, Reason.JOB_SUSPENDED, id="suspended from outside"),
        pytest.param("SchedulingGated", None, Reason.SCHEDULING_GATED, id="held back on purpose"),
        pytest.param("PodInitializing", "mesh-init: ErrImagePull", Reason.INIT_CONTAINER_STUCK, id="not our container"),
        pytest.param("OOMKilled", None, None, id="a sign of an end, not of waiting"),
        pytest.param(None, None, None, id="not waiting"),
    ],
)
def test_a_blocker_is_distinguished_from_an_ordinary_start(
    waiting_reason: str | None, message: str | None, expected: Reason | None
) -> None:
    observation = JobObservation(state=JobState.PENDING, waiting_reason=waiting_reason, waiting_message=message)

    assert observation.blocker == expected

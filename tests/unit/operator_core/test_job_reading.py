from datetime import UTC, date, datetime
from typing import Any

import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.result import ResultError, SyncResult, build_result_bytes
from estimatesync_contract.spec import DateRange
from estimatesync_contract.status import Results
from estimatesync_operator.core import job_observation
from estimatesync_operator.core.job_observation import (
    ABSENT_JOB,
    JobObservation,
    JobState,
    PodIdentity,
    find_event_source,
    is_left_by,
    is_stray,
    needs_pods,
)

Raw = dict[str, Any]

NOW = datetime(2025, 10, 16, 14, 20, tzinfo=UTC)
RUNNING = {"running": {"startedAt": "2025-10-16T14:09:02Z"}}


def observe_job(job: Raw | None, pods: list[Raw], events: list[Raw] | None = None, *, owner_uid: str) -> JobObservation:
    return job_observation.observe_job(job, pods, events or [], owner_uid=owner_uid, now=NOW)


def _job(
    *conditions: Raw, owner: str = "uid-a", deleted: bool = False, created: str | None = None, **status: Any
) -> Raw:
    metadata: Raw = {
        "name": "estimatesync-uid-a",
        "uid": "uid-job",
        "ownerReferences": [{"uid": owner, "controller": True}],
    }
    if created:
        metadata["creationTimestamp"] = created
    if deleted:
        metadata["deletionTimestamp"] = "2025-10-16T14:10:00Z"
    return {"metadata": metadata, "status": {"conditions": list(conditions), **status} if conditions else status}


def _condition(kind: str, reason: str = "", status: str = "True") -> Raw:
    return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": "2025-10-16T14:15:30Z"}


def _pod(
    state: Raw | None = None,
    *,
    minute: int = 9,
    second: int = 1,
    owner: str = "uid-job",
    deletion: str | None = None,
    **status: Any,
) -> Raw:
    if state is not None:
        status["containerStatuses"] = [{"name": "sidecar", "state": {}}, {"name": "sync", "state": state}]
    if "terminated" in (state or {}):
        status.setdefault("phase", "Failed" if state["terminated"]["exitCode"] else "Succeeded")
    metadata = {
        "name": f"pod-{second}",
        "uid": f"uid-pod-{second}",
        "creationTimestamp": f"2025-10-16T14:{minute:02}:{second:02}Z",
        "ownerReferences": [{"uid": owner, "controller": True}],
    }
    if deletion:
        metadata["deletionTimestamp"] = deletion
    return {"metadata": metadata, "spec": {"nodeName": "node-1"}, "status": status}


def _shared(state: Raw, others: Raw, natives: Raw | None = None, *, second: int = 1, **pod: Any) -> Raw:
    """A pod whose sync has company: other containers, and sidecars that Kubernetes knows as such, by name."""
    found = _pod(second=second, **{"phase": "Running", **pod})
    containers = {**others, "sync": state}
    found["status"]["containerStatuses"] = [{"name": name, "state": each} for name, each in containers.items()]
    found["status"]["initContainerStatuses"] = [{"name": name, "state": s} for name, s in (natives or {}).items()]
    return found


def _refusal(minute: int, reason: str = "FailedCreate", message: str = "exceeded quota") -> Raw:
    return {"reason": reason, "message": message, "lastTimestamp": f"2025-10-16T14:{minute:02}:00Z"}


def _disrupted(reason: str) -> list[Raw]:
    return [{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "m"}]


def _ended(exit_code: int, message: str = "", reason: str = "Error") -> Raw:
    terminated: Raw = {"exitCode": exit_code, "reason": reason}
    return {"terminated": terminated | ({"message": message} if message else {})}


def _waiting(reason: str, message: str = "why") -> Raw:
    return {"waiting": {"reason": reason, "message": message}}


CREATING = {"waiting": {"reason": "ContainerCreating"}}
UNREADY = [{"type": "Ready", "status": "False"}]
COMPANION_UNREADY = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]
LOST = "pod pod-1 on node node-1 is not reported on any more"
UNSCHEDULED = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]


@pytest.mark.parametrize(
    ("job", "pods", "expected"),
    [
        pytest.param(_job(), [], JobState.PENDING, id="just created"),
        pytest.param(_job(active=1), [_pod()], JobState.PENDING, id="pod not seen by a node"),
        pytest.param(_job(active=1), [_pod(RUNNING)], JobState.ACTIVE, id="running"),
        pytest.param(_job(failed=1), [_pod(_ended(10))], JobState.PENDING, id="between two runs"),
        pytest.param(_job(_condition("Complete")), [_pod(_ended(0))], JobState.SUCCEEDED, id="complete"),
        pytest.param(_job(_condition("Failed")), [_pod(_ended(20))], JobState.FAILED, id="failed"),
        pytest.param(_job(_condition("Failed", status="False")), [], JobState.PENDING, id="a condition that is false"),
        pytest.param(
            _job(_condition("SuccessCriteriaMet")), [_pod(RUNNING)], JobState.ACTIVE, id="success, pods still ending"
        ),
        pytest.param(
            _job(_condition("FailureTarget")), [_pod(RUNNING)], JobState.ACTIVE, id="failure, pods still ending"
        ),
        pytest.param(
            _job(_condition("SuccessCriteriaMet"), _condition("Complete")), [], JobState.SUCCEEDED, id="both conditions"
        ),
        pytest.param(_job(owner="uid-b"), [_pod(RUNNING)], JobState.FOREIGN, id="another sync's job"),
        pytest.param(_job(deleted=True), [_pod(RUNNING)], JobState.STOPPING, id="being deleted"),
        pytest.param(None, [], JobState.ABSENT, id="not there"),
    ],
)
def test_only_a_terminal_condition_ends_a_job(job: Raw | None, pods: list[Raw], expected: JobState) -> None:
    assert observe_job(job, pods, owner_uid="uid-a").state is expected


@pytest.mark.parametrize(
    "owners",
    [
        pytest.param([], id="no owner"),
        pytest.param([{"uid": "uid-a"}], id="we are its only owner, but do not control it"),
        pytest.param([{"uid": "uid-x", "controller": True}, {"uid": "uid-a"}], id="another one controls it"),
    ],
)
def test_a_job_that_the_sync_does_not_control_is_foreign(owners: list[Raw]) -> None:
    job = {"metadata": {"uid": "x", "ownerReferences": owners}}

    assert observe_job(job, [], owner_uid="uid-a").state is JobState.FOREIGN


def test_a_job_that_ended_is_still_read_while_it_is_being_deleted() -> None:
    job = _job(_condition("Complete"), deleted=True)

    observation = observe_job(job, [_pod(_ended(0, "the result"))], owner_uid="uid-a")

    assert (observation.state, observation.termination_message) == (JobState.SUCCEEDED, "the result")


@pytest.mark.parametrize("reason", ["BackoffLimitExceeded", "PodFailurePolicy", "DeadlineExceeded"])
def test_a_failed_job_yields_its_own_reason_and_time(reason: str) -> None:
    observation = observe_job(_job(_condition("Failed", reason), failed=3), [], owner_uid="uid-a")

    assert (observation.failure_reason, observation.failed_runs) == (reason, 3)
    assert observation.finished_at == datetime(2025, 10, 16, 14, 15, 30, tzinfo=UTC)
    assert observation.termination_message is None


def test_the_reason_is_known_while_the_pods_are_still_ending() -> None:
    observation = observe_job(_job(_condition("FailureTarget", "DeadlineExceeded")), [], owner_uid="uid-a")

    assert (observation.state, observation.failure_reason) == (JobState.PENDING, "DeadlineExceeded")
    assert observation.finished_at is None


@pytest.mark.parametrize(
    ("pod", "reason", "message"),
    [
        pytest.param(_pod(_waiting("ErrImagePull")), "ErrImagePull", "why", id="image pull"),
        pytest.param(_pod(_waiting("CreateContainerConfigError")), "CreateContainerConfigError", "why", id="secret"),
        pytest.param(_pod(conditions=UNSCHEDULED), "Unschedulable", "0/3 nodes", id="no node"),
        pytest.param(_pod(RUNNING), None, None, id="running"),
        pytest.param(_pod(RUNNING, phase="Unknown"), "NodeLost", LOST, id="phase unknown"),
        pytest.param(_pod(RUNNING, reason="NodeLost"), "NodeLost", LOST, id="so says the pod"),
        pytest.param(_pod(RUNNING, conditions=UNREADY), "NodeLost", LOST, id="the node controller took its readiness"),
        pytest.param(_pod(RUNNING, conditions=COMPANION_UNREADY), None, None, id="another container is not ready"),
        pytest.param(_pod(RUNNING, deletion="2025-10-16T14:19:00Z"), "NodeLost", LOST, id="should have been gone"),
        pytest.param(_pod(RUNNING, deletion="2025-10-16T14:19:49Z"), "NodeLost", LOST, id="for more than ten seconds"),
        pytest.param(_pod(RUNNING, deletion="2025-10-16T14:19:50Z"), None, None, id="for ten seconds"),
        pytest.param(_pod(RUNNING, deletion="2025-10-16T14:19:55Z", conditions=UNREADY), None, None, id="is ending"),
        pytest.param(_pod(conditions=[{"type": "PodScheduled", "status": "True"}]), None, None, id="scheduled"),
    ],
)
def test_what_the_newest_pod_waits_for_is_seen(pod: Raw, reason: str | None, message: str | None) -> None:
    older = [_pod(_ended(10), minute=8, second=second) for second in (3, 2)]

    observation = observe_job(_job(), [pod, *older], owner_uid="uid-a")

    assert (observation.waiting_reason, observation.waiting_message) == (reason, message)
    assert observation.pod_name == "pod-1"


def test_of_pods_of_the_same_second_the_one_with_the_later_name_is_the_newest() -> None:
    twin, pod = _pod(_ended(10)), _pod(_waiting("ErrImagePull"))
    twin["metadata"]["name"] = "pod-0"

    for pods in ([twin, pod], [pod, twin]):
        observation = observe_job(_job(), pods, owner_uid="uid-a")
        assert (observation.pod_name, observation.waiting_reason) == ("pod-1", "ErrImagePull")


@pytest.mark.parametrize(
    ("pods", "events", "expected"),
    [
        pytest.param(
            [], [_refusal(9), _refusal(10, message="newer")], "newer", id="no pod yet, the newest word counts"
        ),
        pytest.param([], [_refusal(9, reason="SuccessfulCreate")], None, id="another event"),
        pytest.param([], [], None, id="no event"),
        pytest.param([_pod(_ended(10))], [_refusal(10)], "exceeded quota", id="no second pod"),
        pytest.param(
            [_pod(_ended(10)), _pod(_ended(10), minute=10, second=0)],
            [_refusal(10)],
            "exceeded quota",
            id="no third pod, refused in the second of the last one",
        ),
        pytest.param([], [{**_refusal(9), "lastTimestamp": None}], "exceeded quota", id="an event without a time"),
        pytest.param(
            [],
            [_refusal(9), {**_refusal(9, message="newer"), "lastTimestamp": None, "eventTime": "2025-10-16T14:10:00Z"}],
            "newer",
            id="an event of the newer API",
        ),
        pytest.param([_pod(_ended(10))], [_refusal(8)], None, id="older than the pod that came after all"),
        pytest.param([_pod(RUNNING)], [_refusal(10)], None, id="a pod runs"),
        pytest.param([_pod(CREATING)], [], None, id="a container is being made"),
        pytest.param([_pod(CREATING)], [_refusal(10, "FailedMount", "no volume")], "no volume", id="a volume fails"),
        pytest.param([_pod(CREATING)], [_refusal(10, "Scheduled", "to node-1")], None, id="no refusal"),
    ],
)
def test_why_nothing_starts_stands_in_the_events(pods: list[Raw], events: list[Raw], expected: str | None) -> None:
    observation = observe_job(_job(), pods, events, owner_uid="uid-a")

    assert observation.waiting_message == expected


@pytest.mark.parametrize(
    ("job", "pods", "expected"),
    [
        pytest.param(_job(), [], "uid-job", id="no pod"),
        pytest.param(_job(created="2025-10-16T14:19:59Z"), [], None, id="no pod yet"),
        pytest.param(_job(created="2025-10-16T14:19:58Z"), [], "uid-job", id="no pod for two seconds"),
        pytest.param(_job(failed=1), [_pod(_ended(10))], "uid-job", id="the next one is due"),
        pytest.param(_job(active=1), [_pod()], None, id="one waits for a node"),
        pytest.param(_job(active=1), [_pod(_waiting("ErrImagePull"))], None, id="one says itself what it waits for"),
        pytest.param(_job(active=1), [_pod(_ended(10)), _pod(CREATING, second=2)], "uid-pod-2", id="no container"),
        pytest.param(
            _job(active=1),
            [*(_pod(_ended(10), second=second) for second in (1, 2)), _pod(CREATING, second=3)],
            "uid-pod-3",
            id="no container of the third",
        ),
        pytest.param(_job(active=1), [_pod(CREATING, minute=19, second=55)], "uid-pod-55", id="not for five seconds"),
        pytest.param(_job(active=1), [_pod(CREATING, minute=19, second=56)], None, id="no container yet"),
        pytest.param(_job(active=1, ready=1), [], None, id="one is at work, and was not asked for"),
        pytest.param(_job(active=1), [], None, id="one begins, and was not asked for"),
        pytest.param(_job(_condition("Complete")), [], None, id="finished"),
        pytest.param(_job(_condition("SuccessCriteriaMet")), [_pod(_ended(0))], None, id="about to finish"),
        pytest.param(
            _job(uncountedTerminatedPods={"succeeded": ["uid"], "failed": []}),
            [_pod(_ended(0))],
            None,
            id="not counted yet",
        ),
        pytest.param(_job(deleted=True), [], None, id="deleted"),
    ],
)
def test_only_the_object_that_gets_nothing_is_asked_for_its_events(
    job: Raw, pods: list[Raw], expected: str | None
) -> None:
    assert find_event_source(job, pods, now=NOW) == expected


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        pytest.param(_job(), False, id="none yet"),
        pytest.param(_job(active=1, ready=0), True, id="one that may be stuck"),
        pytest.param(_job(active=1, created="2025-10-16T14:19:55Z"), True, id="one that has had five seconds"),
        pytest.param(_job(active=1, created="2025-10-16T14:19:56Z"), False, id="the first one, just created"),
        pytest.param(_job(active=1, created="2025-10-16T14:20:01Z"), True, id="one of the future"),
        pytest.param(_job(active=1, failed=1, created="2025-10-16T14:19:59Z"), True, id="the second one"),
        pytest.param(_job(active=1, ready=1), False, id="one at work"),
        pytest.param(_job(failed=1, active=0), True, id="one that failed"),
        pytest.param(_job(succeeded=1), True, id="one that succeeded"),
        pytest.param(_job(terminating=1), True, id="one that is ending"),
        pytest.param(_job(uncountedTerminatedPods={"failed": ["uid"]}), True, id="one that just ended"),
        pytest.param(_job(_condition("Complete"), succeeded=1), True, id="the result"),
        pytest.param(_job(_condition("FailureTarget"), active=1, ready=1), True, id="one that is asked to end"),
        pytest.param(_job(deleted=True), True, id="deleted"),
    ],
)
def test_pods_are_asked_for_only_when_they_know_more_than_the_job(job: Raw, *, expected: bool) -> None:
    assert needs_pods(job, now=NOW, knows_pod=True) is expected


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        pytest.param("2025-10-16T14:19:56Z", False, id="the first one, just created"),
        pytest.param("2025-10-16T14:19:55Z", True, id="later"),
    ],
)
def test_a_pod_at_work_is_looked_up_once_so_that_another_one_is_noticed(*, created: str, expected: bool) -> None:
    assert needs_pods(_job(active=1, ready=1, created=created), now=NOW, knows_pod=False) is expected


def test_a_ready_pod_that_was_not_asked_for_is_at_work() -> None:
    assert observe_job(_job(active=1, ready=1), [], owner_uid="uid-a").state is JobState.ACTIVE


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        pytest.param(_job(deleted=True), datetime(2025, 10, 16, 14, 10, tzinfo=UTC), id="deleted"),
        pytest.param(_job(_condition("FailureTarget")), datetime(2025, 10, 16, 14, 15, 30, tzinfo=UTC), id="failing"),
        pytest.param(_job(_condition("Failed"), deleted=True), None, id="over"),
        pytest.param(_job(), None, id="at work"),
    ],
)
def test_since_when_a_job_is_ending_is_read_from_the_job(job: Raw, expected: datetime | None) -> None:
    assert observe_job(job, [], owner_uid="uid-a").ending_since == expected


def test_a_finished_job_waits_for_nothing() -> None:
    job = _job(_condition("Failed", "DeadlineExceeded"))

    assert observe_job(job, [_pod(_waiting("ErrImagePull"))], owner_uid="uid-a").waiting_reason is None


@pytest.mark.parametrize(
    ("job", "pods", "expected"),
    [
        pytest.param(
            _job(_condition("Failed")),
            [_pod(_ended(20, "third"), second=3), *(_pod(_ended(10, f"run {n}"), second=n) for n in (1, 2))],
            ("third", 20, "Error"),
            id="the newest of several failed runs",
        ),
        pytest.param(
            _job(_condition("Complete")),
            [_pod(_ended(0, "good", "Completed"), second=1), _pod(_ended(143, "late"), second=2)],
            ("good", 0, "Completed"),
            id="the run that made the job succeed",
        ),
        pytest.param(
            _job(_condition("Failed", "DeadlineExceeded")),
            [_pod(_ended(0, "good", "Completed"), second=1), _pod(_ended(143, "late"), second=2)],
            ("good", 0, "Completed"),
            id="a good run, whatever became of the job",
        ),
        pytest.param(
            _job(failed=1),
            [_pod(_ended(10, "first"), second=1), _pod(RUNNING, second=2)],
            ("first", 10, "Error"),
            id="one ended, the next runs",
        ),
        pytest.param(
            _job(_condition("Failed")),
            [_pod(_ended(137, reason="OOMKilled"))],
            ("", 137, "OOMKilled"),
            id="out of memory, without a word",
        ),
        pytest.param(
            _job(_condition("Failed")),
            [_pod(phase="Failed", reason="Evicted")],
            ("", None, "Evicted"),
            id="evicted before it started",
        ),
        pytest.param(
            _job(_condition("Failed")),
            [_pod(_ended(137), reason="Evicted")],
            ("", 137, "Evicted"),
            id="evicted while it ran",
        ),
        pytest.param(
            _job(_condition("Failed")),
            [_pod(phase="Failed", reason="OutOfcpu")],
            ("", None, "OutOfcpu"),
            id="refused by its node",
        ),
        pytest.param(
            _job(_condition("Failed")),
            [_pod(RUNNING, phase="Failed", conditions=_disrupted("DeletionByPodGC"))],
            ("", None, "DeletionByPodGC"),
            id="gone with its node",
        ),
        pytest.param(
            _job(_condition("Failed")),
            [_pod(_ended(20, "theirs"), owner="uid-other")],
            (None, None, None),
            id="a pod that only borrowed the label",
        ),
    ],
)
def test_the_run_that_counts_is_read(
    job: Raw, pods: list[Raw], expected: tuple[str | None, int | None, str | None]
) -> None:
    observation = observe_job(job, pods, owner_uid="uid-a")

    assert (observation.termination_message, observation.exit_code, observation.container_reason) == expected


def test_an_absent_job_always_gives_the_same_observation() -> None:
    assert observe_job(None, [], owner_uid="uid-a") == ABSENT_JOB


@pytest.mark.parametrize(
    ("owners", "expected"),
    [
        pytest.param([{"kind": "EstimateSync", "name": "a"}], True, id="ours"),
        pytest.param([{"kind": "EstimateSync", "name": "b"}], False, id="another sync's"),
        pytest.param([{"kind": "CronJob", "name": "a"}], False, id="another kind's"),
        pytest.param([], False, id="without an owner"),
    ],
)
def test_only_a_job_that_an_estimatesync_owned_is_left_over(owners: list[Raw], expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_left_by({"metadata": {"ownerReferences": owners}}, "a") is expected


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        pytest.param(_job(active=1), True, id="at work"),
        pytest.param(_job(), True, id="just created"),
        pytest.param(_job(owner="uid-b"), False, id="another's"),
        pytest.param(_job(deleted=True), False, id="being deleted"),
        pytest.param(_job(_condition("FailureTarget")), False, id="about to fail"),
        pytest.param(_job(_condition("Complete")), False, id="over"),
    ],
)
def test_a_job_that_goes_on_after_the_end_of_its_sync_is_a_stray(job: Raw, expected: bool) -> None:  # noqa: FBT001 - a column
    assert is_stray(job, owner_uid="uid-a") is expected


def _result(uid: str = "uid-a", error: ResultError | None = None) -> str:
    days = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
    result = SyncResult(sync_uid=uid, date_range=days, results=Results(), seconds=1.0, error=error)
    return build_result_bytes(result).decode()


DONE = {"terminated": {"exitCode": 0, "message": _result(), "finishedAt": "2025-10-16T14:15:00Z"}}
FAILED = _ended(10, _result(error=ResultError(reason=Reason.SOURCE_UNAVAILABLE, message="m", retryable=True)))
SIDECAR_FAILED = {"terminated": {"exitCode": 1}}


@pytest.mark.parametrize(
    ("pods", "second"),
    [
        pytest.param([_shared(RUNNING, {"mesh": RUNNING})], None, id="none has ended"),
        pytest.param([_shared(FAILED, {"mesh": RUNNING}, second=2)], 2, id="failed, and a sidecar goes on"),
        pytest.param([_pod(FAILED, phase="Failed"), _shared(FAILED, {}, second=2)], 2, id="the newest that failed"),
        pytest.param([_shared(FAILED, {"mesh": RUNNING}), _shared(RUNNING, {}, second=2)], 1, id="before another run"),
        pytest.param([_shared(DONE, {"mesh": RUNNING}), _shared(FAILED, {}, second=2)], 1, id="stored everything"),
    ],
)
def test_the_pod_of_the_run_that_is_judged_is_known_by_name_and_uid(pods: list[Raw], second: int | None) -> None:
    expected = None if second is None else PodIdentity(name=f"pod-{second}", uid=f"uid-pod-{second}")

    assert observe_job(_job(), pods, owner_uid="uid-a").ended_pod == expected


@pytest.mark.parametrize(
    ("pods", "companions", "is_misjudged"),
    [
        pytest.param([_pod(DONE)], (), False, id="alone"),
        pytest.param([_shared(DONE, {"mesh": RUNNING})], ("mesh",), False, id="a sidecar goes on"),
        pytest.param([_shared(FAILED, {"mesh": RUNNING})], ("mesh",), False, id="a sidecar goes on after a failure"),
        pytest.param(
            [_shared(DONE, {"logs": _waiting("ImagePullBackOff")})], ("logs",), False, id="one that never began"
        ),
        pytest.param([_shared(DONE, {}, {"mesh": RUNNING})], ("mesh",), False, id="a native sidecar goes on"),
        pytest.param(
            [_shared(DONE, {"sql": RUNNING}, {"setup": _ended(0), "mesh": RUNNING})],
            ("mesh", "sql"),
            False,
            id="both, after an init container",
        ),
        pytest.param([_shared(DONE, {"mesh": _ended(0)}, phase="Succeeded")], (), False, id="all have ended"),
        pytest.param([_shared(DONE, {"mesh": _ended(0)})], (), False, id="all have ended, which is not on record yet"),
        pytest.param([_shared(DONE, {"mesh": SIDECAR_FAILED}, phase="Failed")], (), True, id="the sidecar failed"),
        pytest.param(
            [_shared(DONE, {"mesh": RUNNING}, deletion="2025-10-16T14:19:55Z")], (), True, id="the pod is taken off"
        ),
        pytest.param(
            [_shared(FAILED, {"mesh": RUNNING}, deletion="2025-10-16T14:19:55Z")], (), False, id="and had failed"
        ),
        pytest.param(
            [_shared(DONE, {"mesh": SIDECAR_FAILED}, phase="Failed"), _pod(RUNNING, second=2)],
            (),
            True,
            id="the sidecar failed, and another run has begun",
        ),
        pytest.param(
            [*(_pod(FAILED, second=second) for second in (1, 2)), _pod(DONE, second=3)], (), False, id="the third run"
        ),
        pytest.param(
            [_pod(DONE), *(_pod(RUNNING, second=second) for second in (2, 3))], (), True, id="more runs have begun"
        ),
        pytest.param([_pod(_ended(137, _result(), "OOMKilled"))], (), True, id="killed once it was done"),
        pytest.param([_pod(_ended(137, _result("uid-b")))], (), False, id="the result of another sync"),
    ],
)
def test_the_end_of_the_sync_is_read_wherever_it_stands_among_other_containers(
    pods: list[Raw], companions: tuple[str, ...], *, is_misjudged: bool
) -> None:
    observation = observe_job(_job(active=1), pods, owner_uid="uid-a")

    assert (observation.companions, observation.is_misjudged) == (companions, is_misjudged)
    assert observation.is_unnoticed is bool(companions or is_misjudged)


def test_the_run_that_has_stored_everything_is_read_even_if_its_exit_code_says_otherwise() -> None:
    pods = [_pod(_ended(137, _result())), _pod(_ended(10, "second"), second=2)]

    observation = observe_job(_job(_condition("Failed")), pods, owner_uid="uid-a")

    assert (observation.exit_code, observation.termination_message) == (137, _result())


def test_the_end_has_the_time_of_the_syncs_own_container() -> None:
    observation = observe_job(_job(active=1), [_shared(DONE, {"mesh": RUNNING})], owner_uid="uid-a")

    assert observation.ended_at == datetime(2025, 10, 16, 14, 15, tzinfo=UTC)


def test_a_pod_that_goes_on_is_not_asked_for_the_events_of_a_next_one() -> None:
    pods = [_shared(FAILED, {"mesh": RUNNING})]

    assert find_event_source(_job(active=1), pods, now=NOW) is None


WAITS = _waiting("PodInitializing", "")
JUST_BEGUN = {"running": {"startedAt": "2025-10-16T14:19:01Z"}}
LONG_AT_WORK = {"running": {"startedAt": "2025-10-16T14:19:00Z"}}


def _initializing(inits: dict[str, Raw], *, natives: tuple[str, ...] = (), started: tuple[str, ...] = ()) -> Raw:
    pod = _shared(WAITS, {}, inits, phase="Pending")
    for each in pod["status"]["initContainerStatuses"]:
        each["started"] = each["name"] in started
    pod["spec"]["initContainers"] = [
        {"name": name, **({"restartPolicy": "Always"} if name in natives else {})} for name in inits
    ]
    return pod


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        pytest.param(_initializing({"mesh": WAITS}), None, id="not begun"),
        pytest.param(_initializing({"mesh": JUST_BEGUN}), None, id="at work"),
        pytest.param(
            _initializing({"mesh": LONG_AT_WORK}), "mesh: it has been running since 14:19:00 UTC", id="hanging"
        ),
        pytest.param(
            _initializing({"mesh": _waiting("ImagePullBackOff", "Back-off pulling")}),
            "mesh: ImagePullBackOff: Back-off pulling",
            id="no image",
        ),
        pytest.param(
            _initializing({"mesh": _waiting("CreateContainerConfigError", 'secret "m" not found')}),
            'mesh: CreateContainerConfigError: secret "m" not found',
            id="no secret of its own",
        ),
        pytest.param(
            _initializing({"setup": _ended(0), "mesh": _waiting("ErrImagePull", "no")}),
            "mesh: ErrImagePull: no",
            id="the second of two",
        ),
        pytest.param(
            _initializing({"mesh": {"waiting": {"reason": "ErrImagePull"}}}), "mesh: ErrImagePull", id="without a word"
        ),
        pytest.param(_initializing({"setup": _ended(1)}), None, id="failed: the pod is about to say so"),
        pytest.param(_initializing({"setup": _ended(0)}), None, id="all have ended"),
        pytest.param(
            _initializing({"proxy": LONG_AT_WORK}, natives=("proxy",), started=("proxy",)),
            None,
            id="a native sidecar that has started",
        ),
        pytest.param(
            _initializing({"proxy": LONG_AT_WORK}, natives=("proxy",)),
            "proxy: it has been running since 14:19:00 UTC",
            id="a native sidecar that does not get ready",
        ),
        pytest.param(
            _initializing({"proxy": _waiting("CrashLoopBackOff", "back-off 10s")}, natives=("proxy",)),
            "proxy: CrashLoopBackOff: back-off 10s",
            id="a native sidecar that crashes",
        ),
    ],
)
def test_an_init_container_that_is_in_the_way_is_named(pod: Raw, message: str | None) -> None:
    observation = observe_job(_job(active=1), [pod], owner_uid="uid-a")

    assert observation.waiting_message == message
    assert observation.blocker == (Reason.INIT_CONTAINER_STUCK if message else None)


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        pytest.param(_initializing({"mesh": WAITS}), "uid-pod-1", id="its first container is not made"),
        pytest.param(_initializing({"mesh": JUST_BEGUN}), None, id="an init container is at work"),
        pytest.param(_initializing({"mesh": _waiting("ErrImagePull")}), None, id="an init container says itself"),
    ],
)
def test_a_volume_is_missed_before_the_first_of_several_containers(pod: Raw, expected: str | None) -> None:
    assert find_event_source(_job(active=1), [pod], now=NOW) == expected


def test_an_init_container_that_does_not_say_why_it_failed_is_named_all_the_same() -> None:
    pod = _shared(WAITS, {}, {"setup": _ended(0), "mesh": {"terminated": {"exitCode": 1}}}, phase="Failed")

    assert observe_job(_job(_condition("Failed")), [pod], owner_uid="uid-a").node_message == (
        "mesh ended with exit code 1 (Error)"
    )


def test_a_pod_that_no_node_has_taken_is_not_lost_when_it_is_deleted() -> None:
    pod = _pod(conditions=UNSCHEDULED, deletion="2025-10-16T14:00:00Z")
    del pod["spec"]["nodeName"]

    assert observe_job(_job(active=1), [pod], owner_uid="uid-a").waiting_reason == "Unschedulable"


def test_what_the_node_says_of_a_run_that_it_ended_is_kept() -> None:
    pod = _pod(_ended(137), reason="Evicted", message="The node was low on resource: memory.")

    observation = observe_job(_job(_condition("Failed")), [pod], owner_uid="uid-a")

    assert observation.node_message == "The node was low on resource: memory."


def test_a_job_keeps_the_sentence_about_its_failure() -> None:
    condition = {**_condition("Failed", "DeadlineExceeded"), "message": "Job was active longer than specified deadline"}

    observation = observe_job(_job(condition), [], owner_uid="uid-a")

    assert observation.failure_message == "Job was active longer than specified deadline"


def test_a_pod_whose_init_container_failed_says_which_and_how() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    pod = _shared(WAITS, {}, {"setup": _ended(0), "mesh": ended}, phase="Failed")

    observation = observe_job(_job(_condition("Failed")), [pod], owner_uid="uid-a")

    assert (observation.exit_code, observation.container_reason) == (None, "Init:Error")
    assert observation.node_message == "mesh ended with exit code 137 (OOMKilled)"


GATED = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gates"}]


def test_the_gates_that_hold_a_pod_back_are_named() -> None:
    pod = _pod(conditions=GATED)
    pod["spec"]["schedulingGates"] = [{"name": "quota.example.com/a"}, {"name": "b"}]

    observation = observe_job(_job(active=1), [pod], owner_uid="uid-a")

    assert (observation.blocker, observation.waiting_message) == (Reason.SCHEDULING_GATED, "quota.example.com/a, b")


@pytest.mark.parametrize(
    ("job", "pods", "expected"),
    [
        pytest.param(_job(), [], Reason.JOB_SUSPENDED, id="from the beginning"),
        pytest.param(_job(active=1), [_pod(RUNNING)], Reason.JOB_SUSPENDED, id="while it ran"),
        pytest.param(_job(failed=1), [_pod(_ended(10))], Reason.JOB_SUSPENDED, id="between two runs"),
        pytest.param(_job(deleted=True), [_pod(RUNNING)], None, id="and deleted"),
        pytest.param(_job(_condition("Complete")), [_pod(_ended(0))], None, id="and over"),
    ],
)
def test_a_suspended_job_is_a_blocker(job: Raw, pods: list[Raw], expected: Reason | None) -> None:
    job["spec"] = {"suspend": True}

    assert observe_job(job, pods, [_refusal(19)], owner_uid="uid-a").blocker is expected
    assert find_event_source(job, [], now=NOW) is None

"""Computes a pod's status (phase, conditions, container statuses) from what its containers are. Pure.

Containers are values here: waiting, running or terminated, and how often they were started again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from estimatesync_contract.backoff import compute_backoff

from estimatesync_cluster.test_kubelet.environment import compute_pod_address
from estimatesync_cluster.test_kubelet.manifests import Container, Pod

RestartPolicy = Literal["Always", "OnFailure", "Never"]
EXIT_SIGKILL = 137
EXIT_START_ERROR = 128
FIRST_BACK_OFF_SECONDS = 10.0
LONGEST_BACK_OFF_SECONDS = 300.0

HOST_IP = "127.0.0.1"
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Not started, and why."""

    reason: str = "ContainerCreating"
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A live process."""

    started_at: datetime
    container_id: str
    ready: bool = True


@dataclass(frozen=True, kw_only=True)
class Terminated:
    """Ended; an exit code above 128 is 128 + the signal's number. Times are absent when it never ran here."""

    exit_code: int
    reason: str
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    container_id: str = ""


State = Waiting | Running | Terminated


@dataclass(frozen=True, kw_only=True)
class ContainerRecord:
    """State of one container now, and how its previous run ended."""

    state: State = Waiting()
    last: Terminated | None = None
    restarts: int = 0


# https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/ knows this state, too: a
# kubelet that finds no container where its predecessor had one.
LOST = Terminated(
    exit_code=EXIT_SIGKILL,
    reason="ContainerStatusUnknown",
    message="The container could not be located when the pod was terminated",
)


def build_terminated(
    running: Running, *, exit_code: int, message: str, now: datetime, was_over_limit: bool = False
) -> Terminated:
    """Build the end of a container that ran."""
    ordinary = "Error" if exit_code else "Completed"
    return Terminated(
        exit_code=exit_code,
        reason="OOMKilled" if was_over_limit else ordinary,
        message=message,
        started_at=running.started_at,
        finished_at=now,
        container_id=running.container_id,
    )


def decide_restart(policy: str, exit_code: int) -> bool:
    """Decide whether the restart policy starts the container again."""
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def next_back_off_seconds(restarts: int) -> float:
    """Compute the wait before the restart after `restarts` earlier ones: 10 s, doubling, at most 5 min."""
    return compute_backoff(restarts + 1, first=FIRST_BACK_OFF_SECONDS, longest=LONGEST_BACK_OFF_SECONDS)


def build_back_off(container: Container, record: ContainerRecord, ended: Terminated) -> ContainerRecord:
    """Build the record of a container that waits to be started again."""
    seconds = next_back_off_seconds(record.restarts)
    message = f"back-off {seconds:.0f}s restarting failed container={container.name}"
    return replace(record, state=Waiting(reason="CrashLoopBackOff", message=message), last=ended)


def parse_record(raw: dict[str, Any] | None) -> ContainerRecord:
    """Read what an earlier kubelet left in the status: what still ran is lost, what had ended stays so."""
    if raw is None:
        return ContainerRecord()
    state = raw.get("state", {})
    restarts = raw.get("restartCount", 0)
    if ended := state.get("terminated"):
        return ContainerRecord(state=_parse_terminated(ended), restarts=restarts)
    lost = "running" in state
    return ContainerRecord(state=LOST if lost else Waiting(), restarts=restarts)


def _parse_terminated(raw: dict[str, Any]) -> Terminated:
    started, finished = raw.get("startedAt"), raw.get("finishedAt")
    return Terminated(
        exit_code=raw.get("exitCode", 0),
        reason=raw.get("reason", ""),
        message=raw.get("message", ""),
        started_at=datetime.fromisoformat(started) if started else None,
        finished_at=datetime.fromisoformat(finished) if finished else None,
        container_id=raw.get("containerID", ""),
    )


def to_container_status(container: Container, record: ContainerRecord) -> dict[str, Any]:
    """Represent one container as ContainerStatus."""
    running = isinstance(record.state, Running)
    return {
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "containerID": "" if isinstance(record.state, Waiting) else record.state.container_id,
        "ready": isinstance(record.state, Running) and record.state.ready,
        "started": running,
        "restartCount": record.restarts,
        "state": to_state_object(record.state),
        "lastState": to_state_object(record.last) if record.last else {},
    }


def to_state_object(state: State) -> dict[str, Any]:
    """Represent a state as ContainerState; absent values are left out."""
    match state:
        case Waiting():
            return {"waiting": _present(reason=state.reason, message=state.message)}
        case Running():
            return {"running": {"startedAt": format_time(state.started_at)}}
        case Terminated():
            times = {"startedAt": format_time(state.started_at), "finishedAt": format_time(state.finished_at)}
            texts = _present(reason=state.reason, message=state.message, containerID=state.container_id)
            return {"terminated": {"exitCode": state.exit_code, **texts, **times}}


def _present(**texts: str) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}


def format_time(moment: datetime | None) -> str | None:
    """Represent a time (UTC) as metav1.Time, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


@dataclass(frozen=True, kw_only=True)
class PodFailure:
    """Why the node failed a whole pod, whatever its containers say."""

    reason: str
    message: str


DEADLINE_EXCEEDED = PodFailure(reason="DeadlineExceeded", message=DEADLINE_MESSAGE)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """Everything that a pod's status is computed from."""

    records: Mapping[str, ContainerRecord]
    start_time: datetime
    # No container starts again: the pod is deleted or past its deadline.
    stopping: bool = False
    # Every process is gone for good.
    ended: bool = False
    failure: PodFailure | None = None


def to_status_object(
    pod: Pod, situation: Situation, *, previous: Collection[Mapping[str, Any]], now: datetime
) -> dict[str, Any]:
    """Represent the pod's whole PodStatus.

    Args:
        pod: as the API server last sent it.
        situation: what the node knows.
        previous: the conditions reported before, whose transition times stay while their status does.
        now: the time of this report.
    """
    phase = compute_phase(pod, situation)
    failure = situation.failure
    address = compute_pod_address(pod.metadata.uid)
    return {
        "phase": phase,
        "hostIP": HOST_IP,
        "hostIPs": [{"ip": HOST_IP}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": format_time(situation.start_time),
        "conditions": _to_conditions(pod, situation, phase, previous=previous, now=now),
        "containerStatuses": [to_container_status(each, situation.records[each.name]) for each in pod.spec.containers],
        **({"reason": failure.reason, "message": failure.message} if failure else {}),
    }


def compute_phase(pod: Pod, situation: Situation) -> str:
    """Compute the phase as the kubelet does.

    See https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase.
    """
    records = tuple(situation.records.values())
    if situation.failure:
        return "Failed" if situation.ended else "Running"
    if any(isinstance(each.state, Waiting) and each.last is None for each in records):
        return "Failed" if situation.ended else "Pending"
    ended = [each.state for each in records if isinstance(each.state, Terminated)]
    policy = "Never" if situation.stopping else pod.spec.restart_policy
    if len(ended) < len(records) or any(decide_restart(policy, each.exit_code) for each in ended):
        return "Running"
    return "Failed" if any(each.exit_code for each in ended) else "Succeeded"


def _to_conditions(
    pod: Pod, situation: Situation, phase: str, *, previous: Collection[Mapping[str, Any]], now: datetime
) -> list[dict[str, Any]]:
    ready = _to_readiness_condition(pod, situation, phase)
    conditions: list[dict[str, Any]] = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Initialized", "status": "True"},
        {"type": "ContainersReady", **ready},
        {"type": "Ready", **ready},
    ]
    known = {each["type"]: each for each in previous}
    return [_keep_transition_time(each, known.get(each["type"]), now) for each in conditions]


def _to_readiness_condition(pod: Pod, situation: Situation, phase: str) -> dict[str, Any]:
    if phase == "Succeeded":
        return {"status": "False", "reason": "PodCompleted", "message": None}
    if phase == "Failed":
        return {"status": "False", "reason": "PodFailed", "message": None}
    unready = [c.name for c in pod.spec.containers if not _is_ready(situation.records[c.name])]
    if not unready:
        return {"status": "True", "reason": None, "message": None}
    message = f"containers with unready status: [{' '.join(unready)}]"
    return {"status": "False", "reason": "ContainersNotReady", "message": message}


def _is_ready(record: ContainerRecord) -> bool:
    return isinstance(record.state, Running) and record.state.ready


def _keep_transition_time(condition: dict[str, Any], before: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
    kept = before is not None and before["status"] == condition["status"]
    since = before["lastTransitionTime"] if before and kept else format_time(now)
    return {**condition, "lastTransitionTime": since}

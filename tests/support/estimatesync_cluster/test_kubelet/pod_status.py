"""Computes a pod's status (phase, conditions, container statuses) from its containers' records."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from estimatesync_cluster.test_kubelet.addresses import compute_pod_address
from estimatesync_cluster.test_kubelet.container_states import (
    ContainerRecord,
    Running,
    Terminated,
    Waiting,
    decide_restart,
    format_time,
    to_container_status,
)
from estimatesync_cluster.test_kubelet.manifests import Pod

HOST_IP = "127.0.0.1"
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


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

"""Reads the pods of a job, as the API serves them: how a run ended, and what keeps one from starting or going on.

Raw dicts live only here and in `job_reading`, which calls it.
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from estimatesync_contract.names import SYNC_CONTAINER
from estimatesync_contract.result import ExitCode

from estimatesync_operator.observation import JobObservation

Raw = dict[str, Any]

_CREATING: Final = "ContainerCreating"
_REFUSALS: Final = frozenset({"FailedCreate", "FailedMount", "FailedCreatePodSandBox"})
"""Events of a job that gets no pod, and of a pod that gets no container."""

_NODE_LOST: Final = "NodeLost"
_NODE_LOST_MESSAGE: Final = "pod {pod} on node {node} is not reported on any more"

_DELETION_SLACK: Final = timedelta(seconds=10)
"""A pod is gone by its deletion timestamp, which includes its grace; a node that is busy may need a moment more."""


def add_end(observation: JobObservation, pods: Sequence[Raw]) -> JobObservation:
    """Describe the run that did the work, if one did, else the newest that ended."""
    ended = [pod for pod in pods if has_ended(pod)]
    good = [pod for pod in ended if _get_terminated(pod).get("exitCode") == ExitCode.DONE]
    if not ended:
        return observation
    pod = (good or ended)[-1]
    terminated = _get_terminated(pod)
    return msgspec.structs.replace(
        observation,
        termination_message=terminated.get("message", ""),
        exit_code=terminated.get("exitCode"),
        container_reason=_find_node_reason(pod) or terminated.get("reason"),
        node_message=pod.get("status", {}).get("message"),
    )


def add_obstacle(
    observation: JobObservation, pods: Sequence[Raw], events: Iterable[Raw], *, now: datetime
) -> JobObservation:
    """Describe what the newest run waits for, or why there is no next one."""
    newest = pods[-1] if pods else None
    if newest is None or has_ended(newest):
        waiting = _find_refusal(events, after=newest)
    else:
        waiting = _find_wait(newest, events, now)
    if not waiting:
        return observation
    return msgspec.structs.replace(
        observation, waiting_reason=waiting.get("reason"), waiting_message=waiting.get("message")
    )


def is_running(pod: Raw) -> bool:
    """Tell whether the container of the sync runs, as far as its node has told."""
    return bool(_get_state(pod).get("running"))


def is_creating(pod: Raw) -> bool:
    """Tell whether a node is at work on the container; what keeps it, such as a volume, only the events tell."""
    return (_get_state(pod).get("waiting") or {}).get("reason") == _CREATING


def has_ended(pod: Raw) -> bool:
    """Tell whether nothing of this pod runs or ever will."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"} or bool(_get_terminated(pod))


def age_key(pod: Raw) -> tuple[str, str]:
    """Sorts pods, the oldest first."""
    return pod["metadata"].get("creationTimestamp", ""), pod["metadata"]["name"]


def parse_time(text: str | None) -> datetime | None:
    """Read a time of Kubernetes."""
    return datetime.fromisoformat(text) if text else None


def _find_wait(pod: Raw, events: Iterable[Raw], now: datetime) -> Raw | None:
    if _is_lost(pod, now):
        message = _NODE_LOST_MESSAGE.format(pod=pod["metadata"]["name"], node=pod.get("spec", {}).get("nodeName"))
        return {"reason": _NODE_LOST, "message": message}
    if is_creating(pod):
        return _find_refusal(events, after=pod)
    return _get_state(pod).get("waiting") or _find_condition(pod, "PodScheduled", "False")


def _is_lost(pod: Raw, now: datetime) -> bool:
    """The node controller takes the readiness of pods it has no news of; a kubelet only does so when they stop."""
    status, deadline = pod.get("status", {}), parse_time(pod["metadata"].get("deletionTimestamp"))
    if status.get("reason") == _NODE_LOST or status.get("phase") == "Unknown":
        return True
    if deadline is not None:
        return bool(pod.get("spec", {}).get("nodeName")) and now > deadline + _DELETION_SLACK
    return is_running(pod) and _find_condition(pod, "Ready", "False") is not None


def _find_refusal(events: Iterable[Raw], *, after: Raw | None) -> Raw | None:
    """The newest event that tells of a refusal, since the pod that there was last."""
    since = after["metadata"].get("creationTimestamp", "") if after else ""
    refusals = [event for event in events if event.get("reason") in _REFUSALS and _get_event_time(event) >= since]
    return max(refusals, key=_get_event_time, default=None)


def _get_event_time(event: Raw) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _find_node_reason(pod: Raw) -> str | None:
    """Why the cluster ended or refused a run; a pod that ended by itself has no such reason."""
    disruption = _find_condition(pod, "DisruptionTarget", "True") or {}
    reason = pod.get("status", {}).get("reason") or disruption.get("reason")
    return str(reason) if reason else None


def _find_condition(pod: Raw, kind: str, value: str) -> Raw | None:
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == kind and condition["status"] == value:
            return dict(condition)
    return None


def _get_terminated(pod: Raw) -> Raw:
    return dict(_get_state(pod).get("terminated") or {})


def _get_state(pod: Raw) -> Raw:
    for container in pod.get("status", {}).get("containerStatuses", []):
        if container["name"] == SYNC_CONTAINER:
            return dict(container.get("state", {}))
    return {}

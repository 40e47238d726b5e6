"""What one pod says of the container of the sync, and of the others around it; pods are raw objects of the API.

Others are added by whoever changes pods on their way into the cluster: a mesh, a proxy to the database, a collector of
logs. What becomes of the sync is read from its own container, wherever it stands among them.
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from estimatesync_contract.names import SYNC_CONTAINER

Raw = dict[str, Any]

NODE_LOST: Final = "NodeLost"
_NODE_LOST_MESSAGE: Final = "pod {pod} on node {node} is not reported on any more"
_CONTAINER_CREATING: Final = "ContainerCreating"
PENDING_INIT: Final = "PodInitializing"
"""The kubelet's word for every container that waits for init containers."""
FAILED_INIT: Final = "Init:Error"
"""As `kubectl get pods` has it; the pod itself says it of no container but that one."""

_ORDINARY_WAITS: Final = frozenset({PENDING_INIT, _CONTAINER_CREATING, None})

_INIT_TIME: Final = timedelta(seconds=60)
"""In which an init container has its work done, or a native sidecar has started, if nothing is in the way."""

_DELETION_SLACK: Final = timedelta(seconds=10)
"""A pod is gone by its deletion timestamp, which includes its grace; a node that is busy may need a moment more."""


def is_running(pod: Raw) -> bool:
    """Return whether the container of the sync runs, as far as its node has reported."""
    return bool(_get_state(pod).get("running"))


def is_creating(pod: Raw) -> bool:
    """Return whether a node is at work on the first containers; what blocks it, such as a volume, is in the events."""
    reason = _get_waiting_reason(_get_state(pod))
    if reason != PENDING_INIT:
        return reason == _CONTAINER_CREATING
    init = _find_current_init(pod)
    state: Raw = init.get("state", {}) if init else {}
    return not {"running", "terminated"} & state.keys() and _get_waiting_reason(state) in _ORDINARY_WAITS


def has_ended(pod: Raw) -> bool:
    """Return whether the sync does not run in this pod, nor ever will."""
    return is_over(pod) or bool(get_terminated(pod))


def is_over(pod: Raw) -> bool:
    """Return whether nothing of this pod runs or ever will; only then does its job take notice of it."""
    return _get_phase(pod) in {"Succeeded", "Failed"}


def has_succeeded(pod: Raw) -> bool:
    """Return whether every container of this pod has ended well: its job needs no other."""
    return _get_phase(pod) == "Succeeded"


def is_failing(pod: Raw) -> bool:
    """Return whether its job takes this pod for a failure, or is about to, whatever the sync in it has done."""
    return _get_phase(pod) == "Failed" or (not is_over(pod) and "deletionTimestamp" in pod["metadata"])


def list_companions(pod: Raw) -> tuple[str, ...]:
    """Name the other containers that go on, or may still begin, with nobody who ends them."""
    if is_over(pod) or "deletionTimestamp" in pod["metadata"]:
        return ()
    others = (status for status in _list_statuses(pod) if status["name"] != SYNC_CONTAINER)
    return tuple(other["name"] for other in others if {"running", "waiting"} & other.get("state", {}).keys())


def get_terminated(pod: Raw) -> Raw:
    """How the container of the sync ended; empty while it has not."""
    return dict(_get_state(pod).get("terminated") or {})


def age_key(pod: Raw) -> tuple[str, str]:
    """Sorts pods, the oldest first."""
    return pod["metadata"].get("creationTimestamp", ""), pod["metadata"]["name"]


def parse_time(text: str | None) -> datetime | None:
    """Read a time of Kubernetes."""
    return datetime.fromisoformat(text) if text else None


def find_wait(pod: Raw, now: datetime) -> Raw | None:
    """Find what the pod itself says about why the sync does not run in it (any more)."""
    if _is_lost(pod, now):
        message = _NODE_LOST_MESSAGE.format(pod=pod["metadata"]["name"], node=pod.get("spec", {}).get("nodeName"))
        return {"reason": NODE_LOST, "message": message}
    if is_creating(pod):
        return None
    if init := _find_current_init(pod):
        words = _describe_init(init, now)
        return {"reason": PENDING_INIT, "message": words} if words else None
    return _get_state(pod).get("waiting") or _find_unscheduled(pod)


def find_failed_init(pod: Raw) -> str | None:
    """Say which init container has failed, and how; None when none has."""
    for status in pod.get("status", {}).get("initContainerStatuses", []):
        ended = status.get("state", {}).get("terminated") or {}
        if ended.get("exitCode"):
            return f"{status['name']} ended with exit code {ended['exitCode']} ({ended.get('reason', 'Error')})"
    return None


def _find_current_init(pod: Raw) -> Raw | None:
    """The status of the init container that the sync waits for; None when it waits for none."""
    if _get_waiting_reason(_get_state(pod)) != PENDING_INIT:
        return None
    for status in pod.get("status", {}).get("initContainerStatuses", []):
        ended = status.get("state", {}).get("terminated")
        has_started = status.get("started") and status["name"] in _list_native_sidecars(pod)
        if not has_started and not (ended and ended.get("exitCode") == 0):
            return dict(status)
    return None


def _describe_init(init: Raw, now: datetime) -> str | None:
    """What is wrong with an init container, after its name; None while it may just be at work."""
    name, state = init["name"], init.get("state", {})
    if waiting := state.get("waiting"):
        words = [str(word) for word in (name, waiting.get("reason"), waiting.get("message")) if word]
        return None if waiting.get("reason") in _ORDINARY_WAITS else ": ".join(words)
    started = parse_time((state.get("running") or {}).get("startedAt"))
    return (
        f"{name}: it has been running since {started:%H:%M:%S} UTC" if started and now >= started + _INIT_TIME else None
    )


def _list_native_sidecars(pod: Raw) -> set[str]:
    containers = pod.get("spec", {}).get("initContainers", [])
    return {container["name"] for container in containers if container.get("restartPolicy") == "Always"}


def _get_waiting_reason(state: Raw) -> str | None:
    reason: str | None = (state.get("waiting") or {}).get("reason")
    return reason


def find_node_reason(pod: Raw) -> str | None:
    """Why the cluster ended or refused a run; a pod that ended by itself has no such reason."""
    disruption = _find_condition(pod, "DisruptionTarget", "True") or {}
    reason = pod.get("status", {}).get("reason") or disruption.get("reason")
    return str(reason) if reason else None


def _is_lost(pod: Raw, now: datetime) -> bool:
    """The node controller takes the readiness of pods it has no news of, and leaves the reason empty.

    A kubelet gives one, also where another container of the pod is not ready.
    """
    status, deadline = pod.get("status", {}), parse_time(pod["metadata"].get("deletionTimestamp"))
    if status.get("reason") == NODE_LOST or status.get("phase") == "Unknown":
        return True
    if deadline is not None:
        return bool(pod.get("spec", {}).get("nodeName")) and now > deadline + _DELETION_SLACK
    unready = _find_condition(pod, "Ready", "False")
    return is_running(pod) and unready is not None and not unready.get("reason")


def _find_unscheduled(pod: Raw) -> Raw | None:
    """What the scheduler says; of gates it says only that there are some."""
    condition = _find_condition(pod, "PodScheduled", "False")
    gates = ", ".join(gate["name"] for gate in pod.get("spec", {}).get("schedulingGates", []))
    return {**condition, "message": gates} if condition and gates else condition


def _get_phase(pod: Raw) -> str | None:
    phase: str | None = pod.get("status", {}).get("phase")
    return phase


def _find_condition(pod: Raw, kind: str, value: str) -> Raw | None:
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == kind and condition["status"] == value:
            return dict(condition)
    return None


def _get_state(pod: Raw) -> Raw:
    for status in pod.get("status", {}).get("containerStatuses", []):
        if status["name"] == SYNC_CONTAINER:
            return dict(status.get("state", {}))
    return {}


def _list_statuses(pod: Raw) -> Iterator[Raw]:
    """Those of init containers, among them sidecars that Kubernetes knows as such, and those of all others."""
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses", [])
    yield from status.get("containerStatuses", [])

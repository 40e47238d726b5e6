"""Reads a Kubernetes Job and its pods, as the API serves them, into one observation.

Only the conditions Complete and Failed end a job: their forerunners (SuccessCriteriaMet, FailureTarget) say that pods
are still ending. https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from estimatesync_contract.exit_codes import ExitCode
from estimatesync_contract.names import KIND, SYNC_CONTAINER

from estimatesync_operator.observation import ABSENT_JOB, JobObservation, JobState

Raw = dict[str, Any]


def observe_job(job: Raw | None, pods: Sequence[Raw], *, owner_uid: str) -> JobObservation:
    """Map a raw Job (None when there is none) and raw pods to an observation.

    Pods that the job does not control are passed over; a job that `owner_uid` does not own is FOREIGN, and one that
    is deleted before it has ended is STOPPING.
    """
    if job is None:
        return ABSENT_JOB
    if not _is_owned(job, owner_uid):
        return JobObservation(state=JobState.FOREIGN)
    if job["metadata"].get("deletionTimestamp") and not _find_condition(job, "Complete", "Failed"):
        return JobObservation(state=JobState.STOPPING)
    own = sorted((pod for pod in pods if _is_owned(pod, job["metadata"]["uid"])), key=_age_key)
    return _observe_own(job, own)


def is_left_by(job: Raw, sync_name: str) -> bool:
    """Tell whether a job belonged to an EstimateSync of this name; labels alone would prove nothing."""
    owners = job["metadata"].get("ownerReferences", [])
    return any((owner.get("kind"), owner.get("name")) == (KIND, sync_name) for owner in owners)


def _observe_own(job: Raw, pods: Sequence[Raw]) -> JobObservation:
    status = job.get("status", {})
    ended = [pod for pod in pods if _get_terminated(pod) is not None]
    end = _find_condition(job, "Complete", "Failed")
    failure = _find_condition(job, "Failed", "FailureTarget") or {}
    observation = JobObservation(
        state=_compute_state(end, pods),
        failure_reason=failure.get("reason"),
        failure_message=failure.get("message"),
        failed_runs=status.get("failed", 0),
        finished_at=_parse_time(end.get("lastTransitionTime")) if end else None,
    )
    if ended:
        observation = _add_end(observation, _choose_ended(ended))
    return _add_obstacle(observation, pods[-1]) if pods and not end else observation


def _choose_ended(ended: Sequence[Raw]) -> Raw:
    """The run that did the work, if one did, else the newest that ended."""
    good = [pod for pod in ended if (_get_terminated(pod) or {}).get("exitCode") == ExitCode.DONE]
    return good[-1] if good else ended[-1]


def _add_end(observation: JobObservation, pod: Raw) -> JobObservation:
    terminated = _get_terminated(pod) or {}
    evicted = pod.get("status", {}).get("reason") == "Evicted"
    return msgspec.structs.replace(
        observation,
        termination_message=terminated.get("message", ""),
        exit_code=terminated.get("exitCode"),
        container_reason="Evicted" if evicted else terminated.get("reason"),
    )


def _add_obstacle(observation: JobObservation, pod: Raw) -> JobObservation:
    waiting = (_get_container_state(pod).get("waiting")) or _get_unscheduled(pod)
    if not waiting:
        return observation
    return msgspec.structs.replace(
        observation, waiting_reason=waiting.get("reason"), waiting_message=waiting.get("message")
    )


def _find_condition(job: Raw, *kinds: str) -> Raw | None:
    for condition in job.get("status", {}).get("conditions", []):
        if condition["type"] in kinds and condition["status"] == "True":
            return dict(condition)
    return None


def _compute_state(end: Raw | None, pods: Sequence[Raw]) -> JobState:
    if end:
        return JobState.SUCCEEDED if end["type"] == "Complete" else JobState.FAILED
    running = any(_get_container_state(pod).get("running") for pod in pods)
    return JobState.ACTIVE if running else JobState.PENDING


def _get_container_state(pod: Raw) -> Raw:
    for container in pod.get("status", {}).get("containerStatuses", []):
        if container["name"] == SYNC_CONTAINER:
            return dict(container.get("state", {}))
    return {}


def _get_terminated(pod: Raw) -> Raw | None:
    if pod.get("status", {}).get("reason") == "Evicted":
        return _get_container_state(pod).get("terminated") or {}
    return _get_container_state(pod).get("terminated")


def _get_unscheduled(pod: Raw) -> Raw | None:
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return dict(condition)
    return None


def _is_owned(child: Raw, owner_uid: str) -> bool:
    return any(owner.get("uid") == owner_uid for owner in child["metadata"].get("ownerReferences", []))


def _age_key(pod: Raw) -> tuple[str, str]:
    return pod["metadata"].get("creationTimestamp", ""), pod["metadata"]["name"]


def _parse_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None

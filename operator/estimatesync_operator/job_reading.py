"""Reads a Kubernetes Job, its pods and its events, as the API serves them, into one observation.

Only the conditions Complete and Failed end a job: their forerunners (SuccessCriteriaMet, FailureTarget) say that pods
are still ending. https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from estimatesync_contract.names import KIND

from estimatesync_operator.observation import ABSENT_JOB, JobObservation, JobState
from estimatesync_operator.pod_reading import (
    add_end,
    add_obstacle,
    age_key,
    has_ended,
    is_creating,
    is_running,
    parse_time,
)

Raw = dict[str, Any]

_POD_COUNTS: Final = ("active", "failed", "succeeded", "terminating", "uncountedTerminatedPods")
_FIRST_POD_TIME: Final = timedelta(seconds=2)
"""In which the job controller creates a pod, if nothing is in the way."""

_FIRST_CONTAINER_TIME: Final = timedelta(seconds=5)
"""In which a node that has the image creates a container, if nothing is in the way."""


def observe_job(
    job: Raw | None, pods: Sequence[Raw] = (), events: Sequence[Raw] = (), *, owner_uid: str, now: datetime
) -> JobObservation:
    """Map a raw Job (None when there is none), raw pods and raw events to an observation.

    Pods that the job does not control are passed over; a job that `owner_uid` does not own is FOREIGN, and one that
    is deleted before it has ended is STOPPING. `now` tells a pod that is ending from one whose node is lost.
    """
    if job is None:
        return ABSENT_JOB
    if not _is_owned(job, owner_uid):
        return JobObservation(state=JobState.FOREIGN)
    own = list_own(job, pods)
    observation = add_end(_observe_conditions(job, own), own)
    if own:
        observation = msgspec.structs.replace(observation, pod_name=own[-1]["metadata"]["name"])
    return observation if has_finished(job) else add_obstacle(observation, own, events, now=now)


def is_left_by(job: Raw, sync_name: str) -> bool:
    """Tell whether a job belonged to an EstimateSync of this name; labels alone would prove nothing."""
    owners = job["metadata"].get("ownerReferences", [])
    return any((owner.get("kind"), owner.get("name")) == (KIND, sync_name) for owner in owners)


def list_own(job: Raw, pods: Sequence[Raw]) -> list[Raw]:
    """The pods of this very job, the oldest first."""
    return sorted((pod for pod in pods if _is_owned(pod, job["metadata"]["uid"])), key=age_key)


def needs_pods(job: Raw) -> bool:
    """Tell whether the pods know more than the job: not before there is one, nor while one is ready and at work."""
    status = job.get("status", {})
    if has_finished(job) or _find_ending_time(job):
        return True
    return not status.get("ready") and any(status.get(count) for count in _POD_COUNTS)


def find_witness(job: Raw, pods: Sequence[Raw], *, now: datetime) -> str | None:
    """The uid of the object whose events may know why nothing runs: the newest pod that gets no container, or the job.

    None while nothing is amiss, and in the first moments of either.
    """
    if _may_lack_pods(job, pods, now):
        return str(job["metadata"]["uid"])
    newest = pods[-1] if pods else None
    if newest is None or not is_creating(newest) or _is_young(newest, now, _FIRST_CONTAINER_TIME):
        return None
    return str(newest["metadata"]["uid"])


def has_finished(job: Raw) -> bool:
    """Tell whether the job is over, with all its pods."""
    return _find_condition(job, "Complete", "Failed") is not None


def _may_lack_pods(job: Raw, pods: Sequence[Raw], now: datetime) -> bool:
    status = job.get("status", {})
    is_ending = has_finished(job) or _find_ending_time(job) or any(status.get("uncountedTerminatedPods", {}).values())
    is_young = _is_young(job, now, _FIRST_POD_TIME)
    return not is_young and not is_ending and not status.get("ready") and all(map(has_ended, pods))


def _is_young(thing: Raw, now: datetime, patience: timedelta) -> bool:
    created = parse_time(thing["metadata"].get("creationTimestamp"))
    return created is not None and now < created + patience


def _observe_conditions(job: Raw, pods: Sequence[Raw]) -> JobObservation:
    end = _find_condition(job, "Complete", "Failed")
    failure = _find_condition(job, "Failed", "FailureTarget") or {}
    return JobObservation(
        state=_compute_state(job, end, pods),
        failure_reason=failure.get("reason"),
        failure_message=failure.get("message"),
        failed_runs=job.get("status", {}).get("failed", 0),
        ending_since=None if end else _find_ending_time(job),
        finished_at=parse_time(end.get("lastTransitionTime")) if end else None,
    )


def _find_ending_time(job: Raw) -> datetime | None:
    forerunner = _find_condition(job, "SuccessCriteriaMet", "FailureTarget") or {}
    return parse_time(job["metadata"].get("deletionTimestamp") or forerunner.get("lastTransitionTime"))


def _compute_state(job: Raw, end: Raw | None, pods: Sequence[Raw]) -> JobState:
    if end:
        return JobState.SUCCEEDED if end["type"] == "Complete" else JobState.FAILED
    if job["metadata"].get("deletionTimestamp"):
        return JobState.STOPPING
    is_at_work = job.get("status", {}).get("ready") or any(is_running(pod) for pod in pods)
    return JobState.ACTIVE if is_at_work else JobState.PENDING


def _find_condition(job: Raw, *kinds: str) -> Raw | None:
    for condition in job.get("status", {}).get("conditions", []):
        if condition["type"] in kinds and condition["status"] == "True":
            return dict(condition)
    return None


def _is_owned(child: Raw, owner_uid: str) -> bool:
    """By the controlling reference only: any object may name any owner beside it."""
    owners = child["metadata"].get("ownerReferences", [])
    return any(owner.get("uid") == owner_uid and owner.get("controller") for owner in owners)

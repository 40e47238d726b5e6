"""What can be seen of a sync's job, and how it is read from a Kubernetes Job with its pods and events.

The one-machine mode makes the same observations of a child process. Raw objects of the API live only here.

Only the conditions Complete and Failed end a job: their forerunners (SuccessCriteriaMet, FailureTarget) say that pods
are still ending. https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec
from estimatesync_contract.causes import BLOCKERS, Reason
from estimatesync_contract.names import KIND
from estimatesync_contract.result import ExitCode, find_committed

from estimatesync_operator.core.pod_reading import (
    FAILED_INIT,
    PENDING_INIT,
    age_key,
    find_failed_init,
    find_node_reason,
    find_wait,
    get_terminated,
    has_ended,
    has_succeeded,
    is_creating,
    is_failing,
    is_over,
    is_running,
    list_companions,
    parse_time,
)

SIGNS: Final[Mapping[Reason, frozenset[str]]] = {
    Reason.POD_REFUSED: frozenset({"FailedCreate"}),
    Reason.UNSCHEDULABLE: frozenset({"Unschedulable"}),
    Reason.IMAGE_PULL_FAILED: frozenset(
        {
            *("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"),
            *("RegistryUnavailable", "SignatureValidationFailed"),
        }
    ),
    Reason.CONTAINER_REFUSED: frozenset(
        {
            *("CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
            *("FailedMount", "FailedCreatePodSandBox"),
        }
    ),
    Reason.INIT_CONTAINER_STUCK: frozenset({PENDING_INIT}),
    Reason.INIT_CONTAINER_FAILED: frozenset({FAILED_INIT}),
    Reason.NODE_LOST: frozenset({"NodeLost", "DeletionByPodGC", "DeletionByTaintManager"}),
    Reason.JOB_SUSPENDED: frozenset({"JobSuspended"}),
    Reason.SCHEDULING_GATED: frozenset({"SchedulingGated"}),
    Reason.OUT_OF_MEMORY: frozenset({"OOMKilled"}),
    Reason.EVICTED: frozenset(
        {
            *("Evicted", "Preempting", "Terminated", "NodeShutdown", "Shutdown"),
            *("PreemptionByScheduler", "EvictionByEvictionAPI", "TerminationByKubelet"),
        }
    ),
}
"""Kubernetes' words for each reason: those of a container, a pod, a condition or an event."""

_BY_SIGN: Final[Mapping[str, Reason]] = {sign: reason for reason, signs in SIGNS.items() for sign in signs}
_LIMIT_MISSING: Final = "must specify"
"""How a quota refuses a pod that leaves out what it counts: `failed quota: q: must specify limits.cpu for: sync`."""
_STORAGE_LIMIT: Final = ("ephemeral local storage", "local ephemeral storage", "usage of emptydir volume")
"""How a kubelet words that a pod is over a limit of its own; of a full disk it says "low on resource"."""
_JOB_SUSPENDED: Final = "JobSuspended"
_CONFIG_ERROR: Final = "CreateContainerConfigError"

Raw = dict[str, Any]

_POD_COUNTS: Final = ("active", "failed", "succeeded", "terminating", "uncountedTerminatedPods")
_FIRST_POD_TIME: Final = timedelta(seconds=2)
"""In which the job controller creates a pod, if nothing is in the way."""

_FIRST_CONTAINER_TIME: Final = timedelta(seconds=5)
"""In which a node that has the image creates a container, if nothing is in the way."""

_REFUSAL_EVENTS: Final = frozenset({"FailedCreate", "FailedMount", "FailedCreatePodSandBox"})
"""Events of a job that gets no pod, and of a pod that gets no container."""


class JobState(StrEnum):
    """How far a job is.

    FOREIGN means that its name is taken by a job that is not ours, STOPPING that it is being deleted and what it runs
    may not have ended yet.
    """

    ABSENT = "absent"
    FOREIGN = "foreign"
    PENDING = "pending"
    ACTIVE = "active"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class PodIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """One pod, and no other that may have its name later."""

    name: str
    uid: str


class JobObservation(msgspec.Struct, frozen=True, kw_only=True):
    """One observation of a job. The fields about a run describe the newest one that has ended, or is stuck."""

    state: JobState
    failure_reason: str | None = None
    """BackoffLimitExceeded, DeadlineExceeded or PodFailurePolicy: the Job's own, known before its pods are gone."""
    failure_message: str | None = None
    termination_message: str | None = None
    """None when no run has ended, or its pod is gone; empty when the run left no message."""
    ended_at: datetime | None = None
    """When that run ended, by its node's clock."""
    companions: tuple[str, ...] = ()
    """Other containers of that run's pod that go on: its job takes no notice of its end before theirs."""
    ended_pod: PodIdentity | None = None
    """That run's pod."""
    is_misjudged: bool = False
    """The run has stored everything, and its job counts it as a failure, is about to, or has begun another."""
    exit_code: int | None = None
    container_reason: str | None = None
    """What the node says of the ended run: Completed, Error, OOMKilled; or why it was ended or refused: Evicted."""
    node_message: str | None = None
    """The node's own sentence about a run that it ended or refused."""
    waiting_reason: str | None = None
    """Why no run can start or go on: ErrImagePull, Unschedulable, FailedCreate, NodeLost."""
    waiting_message: str | None = None
    ending_since: datetime | None = None
    """When the job was deleted, or failed, although its pods have not ended yet."""
    finished_at: datetime | None = None
    failed_runs: int = 0
    """Runs that counted as failures; those that the cluster ended do not."""
    pod_name: str | None = None
    """The newest pod; None when there is none, or when it was not looked up."""
    pods: int = 0
    """How many there are, ended ones included; 0 when they were not looked up."""

    @property
    def blocker(self) -> Reason | None:
        """What keeps the sync from running, if anything does; it may still go on once a person has acted."""
        reason, message = find_reason(self.waiting_reason), (self.waiting_message or "").lower()
        if self.waiting_reason == _CONFIG_ERROR and "secret" in message:
            return Reason.SECRET_MISSING
        if reason is Reason.POD_REFUSED and _LIMIT_MISSING in message:
            return Reason.LIMIT_MISSING
        return reason if reason in BLOCKERS else None

    @property
    def node_reason(self) -> Reason | None:
        """Why the node, or the cluster, ended or refused the run, as far as the table knows its word."""
        reason, message = find_reason(self.container_reason), (self.node_message or "").lower()
        is_own_fault = reason is Reason.EVICTED and any(sign in message for sign in _STORAGE_LIMIT)
        return Reason.OUT_OF_STORAGE if is_own_fault else reason

    @property
    def is_unnoticed(self) -> bool:
        """True when the job does not come to the end that the run's end should bring about, or not by itself."""
        return bool(self.companions) or self.is_misjudged or self.state is JobState.STOPPING

    @property
    def is_progressing(self) -> bool:
        """True while its log is worth reading."""
        return self.state is JobState.ACTIVE and self.blocker is None


ABSENT_JOB = JobObservation(state=JobState.ABSENT)


def find_reason(sign: str | None) -> Reason | None:
    """Find what a word of Kubernetes means; None when the table does not know it."""
    return _BY_SIGN.get(sign or "")


def observe_job(
    job: Raw | None, pods: Sequence[Raw] = (), events: Sequence[Raw] = (), *, owner_uid: str, now: datetime
) -> JobObservation:
    """Map a raw Job (None when there is none), raw pods and raw events to an observation.

    Pods that the job does not control are passed over; a job that `owner_uid` does not own is FOREIGN, and one that
    is deleted before it has ended is STOPPING. `now` distinguishes a pod that is ending from one whose node is lost.
    """
    if job is None:
        return ABSENT_JOB
    if not _is_owned(job, owner_uid):
        return JobObservation(state=JobState.FOREIGN)
    own = list_own(job, pods)
    observation = add_end(_observe_conditions(job, own), own, sync_uid=owner_uid)
    if own:
        observation = msgspec.structs.replace(observation, pod_name=own[-1]["metadata"]["name"], pods=len(own))
    if has_finished(job):
        return observation
    if _is_suspended(job):
        # Its pods end, and there is no other before it is resumed.
        return msgspec.structs.replace(observation, waiting_reason=_JOB_SUSPENDED)
    return add_blocker(observation, own, events, now=now)


def is_left_by(job: Raw, sync_name: str) -> bool:
    """Return whether a job belonged to an EstimateSync of this name; labels alone would prove nothing."""
    owners = job["metadata"].get("ownerReferences", [])
    return any((owner.get("kind"), owner.get("name")) == (KIND, sync_name) for owner in owners)


def is_stray(job: Raw, *, owner_uid: str) -> bool:
    """Return whether a job, whose sync has ended, is that sync's and goes on as if it had not."""
    return _is_owned(job, owner_uid) and not is_ending(job)


def is_ending(job: Raw) -> bool:
    """Return whether the job has ended, or is about to."""
    return has_finished(job) or _find_ending_time(job) is not None


def list_own(job: Raw, pods: Sequence[Raw]) -> list[Raw]:
    """The pods of this very job, the oldest first."""
    return sorted((pod for pod in pods if _is_owned(pod, job["metadata"]["uid"])), key=age_key)


def needs_pods(job: Raw, *, now: datetime, knows_pod: bool) -> bool:
    """Return whether the pods know more than the job: not before there is one, nor while a known one is at work.

    Nor in the moments that the first one takes to begin: what keeps it from that is there afterwards, too.
    """
    status = job.get("status", {})
    if has_finished(job) or _find_ending_time(job):
        return True
    counts = [count for count in _POD_COUNTS if status.get(count)]
    if not counts or (status.get("ready") and knows_pod):
        return False
    return counts != ["active"] or not _is_just_created(job, now)


def find_event_source(job: Raw, pods: Sequence[Raw], *, now: datetime) -> str | None:
    """The uid of the object whose events may know why nothing runs: the newest pod that gets no container, or the job.

    None while nothing is wrong, and in the first moments of either.
    """
    if _may_lack_pods(job, pods, now):
        return str(job["metadata"]["uid"])
    newest = pods[-1] if pods else None
    if newest is None or not is_creating(newest) or _is_young(newest, now, _FIRST_CONTAINER_TIME):
        return None
    return str(newest["metadata"]["uid"])


def has_finished(job: Raw) -> bool:
    """Return whether the job is over, with all its pods."""
    return _find_job_condition(job, "Complete", "Failed") is not None


def is_complete(job: Raw) -> bool:
    """Return whether the job has succeeded, and nothing of it runs."""
    return _find_job_condition(job, "Complete") is not None


def _is_suspended(job: Raw) -> bool:
    """A job that is deleted is past that."""
    return bool(job.get("spec", {}).get("suspend")) and "deletionTimestamp" not in job["metadata"]


def _may_lack_pods(job: Raw, pods: Sequence[Raw], now: datetime) -> bool:
    status = job.get("status", {})
    is_counting = any(status.get("uncountedTerminatedPods", {}).values()) or any(map(has_succeeded, pods))
    needs_none = _is_suspended(job) or is_ending(job) or is_counting
    is_young = _is_young(job, now, _FIRST_POD_TIME)
    has_one = status.get("ready") or (status.get("active") and not pods)
    return not is_young and not needs_none and not has_one and all(map(is_over, pods))


def _is_just_created(job: Raw, now: datetime) -> bool:
    """By a clock that is behind the API server's, it never is."""
    created = parse_time(job["metadata"].get("creationTimestamp"))
    return created is not None and created <= now < created + _FIRST_CONTAINER_TIME


def _is_young(thing: Raw, now: datetime, patience: timedelta) -> bool:
    created = parse_time(thing["metadata"].get("creationTimestamp"))
    return created is not None and now < created + patience


def _observe_conditions(job: Raw, pods: Sequence[Raw]) -> JobObservation:
    end = _find_job_condition(job, "Complete", "Failed")
    failure = _find_job_condition(job, "Failed", "FailureTarget") or {}
    return JobObservation(
        state=_compute_state(job, end, pods),
        failure_reason=failure.get("reason"),
        failure_message=failure.get("message"),
        failed_runs=job.get("status", {}).get("failed", 0),
        ending_since=None if end else _find_ending_time(job),
        finished_at=parse_time(end.get("lastTransitionTime")) if end else None,
    )


def _find_ending_time(job: Raw) -> datetime | None:
    forerunner = _find_job_condition(job, "SuccessCriteriaMet", "FailureTarget") or {}
    return parse_time(job["metadata"].get("deletionTimestamp") or forerunner.get("lastTransitionTime"))


def _compute_state(job: Raw, end: Raw | None, pods: Sequence[Raw]) -> JobState:
    if end:
        return JobState.SUCCEEDED if end["type"] == "Complete" else JobState.FAILED
    if job["metadata"].get("deletionTimestamp"):
        return JobState.STOPPING
    is_at_work = job.get("status", {}).get("ready") or any(is_running(pod) for pod in pods)
    return JobState.ACTIVE if is_at_work else JobState.PENDING


def _find_job_condition(job: Raw, *kinds: str) -> Raw | None:
    for condition in job.get("status", {}).get("conditions", []):
        if condition["type"] in kinds and condition["status"] == "True":
            return dict(condition)
    return None


def _is_owned(child: Raw, owner_uid: str) -> bool:
    """By the controlling reference only: any object may name further owners."""
    owners = child["metadata"].get("ownerReferences", [])
    return any(owner.get("uid") == owner_uid and owner.get("controller") for owner in owners)


def add_end(observation: JobObservation, pods: Sequence[Raw], *, sync_uid: str) -> JobObservation:
    """Describe the run that did the work, if one did, else the newest that ended."""
    ended = [pod for pod in pods if has_ended(pod)]
    if not ended:
        return observation
    committed = [pod for pod in ended if find_committed(get_terminated(pod).get("message"), sync_uid=sync_uid)]
    good = committed or [pod for pod in ended if get_terminated(pod).get("exitCode") == ExitCode.DONE]
    pod = (good or ended)[-1]
    terminated = get_terminated(pod)
    failed_init = None if terminated else find_failed_init(pod)
    return msgspec.structs.replace(
        observation,
        termination_message=terminated.get("message", ""),
        exit_code=terminated.get("exitCode"),
        ended_at=parse_time(terminated.get("finishedAt")),
        companions=list_companions(pod),
        ended_pod=PodIdentity(name=pod["metadata"]["name"], uid=pod["metadata"]["uid"]),
        is_misjudged=bool(committed) and (is_failing(pod) or pod is not pods[-1]),
        container_reason=find_node_reason(pod) or terminated.get("reason") or (failed_init and FAILED_INIT),
        node_message=pod.get("status", {}).get("message") or failed_init,
    )


def add_blocker(
    observation: JobObservation, pods: Sequence[Raw], events: Iterable[Raw], *, now: datetime
) -> JobObservation:
    """Describe what the newest run waits for, or why there is no next one."""
    newest = pods[-1] if pods else None
    waiting = find_wait(newest, now) if newest and not is_over(newest) else None
    if waiting is None and (newest is None or is_over(newest) or is_creating(newest)):
        waiting = _find_refusal(events, after=newest)
    if not waiting:
        return observation
    return msgspec.structs.replace(
        observation, waiting_reason=waiting.get("reason"), waiting_message=waiting.get("message")
    )


def _find_refusal(events: Iterable[Raw], *, after: Raw | None) -> Raw | None:
    """The newest event that reports a refusal, since the last pod."""
    since = after["metadata"].get("creationTimestamp", "") if after else ""
    refusals = [event for event in events if event.get("reason") in _REFUSAL_EVENTS and _get_event_time(event) >= since]
    return max(refusals, key=_get_event_time, default=None)


def _get_event_time(event: Raw) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")

"""Why a job ended as it did, in words for a person: the one place where each cause gets its reason and its cure."""

from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.exit_codes import ExitCode
from estimatesync_contract.reasons import Reason
from estimatesync_contract.result import BrokenResultError, SyncResult, parse_result
from estimatesync_contract.status import Phase, Results

from estimatesync_operator.observation import JobObservation, JobState

_DEADLINE: Final = "DeadlineExceeded"
_OUT_OF_MEMORY: Final = "OOMKilled"
_EVICTED: Final = "Evicted"

_WAITING: Final[dict[str, tuple[Reason, str]]] = {
    "ErrImagePull": (Reason.IMAGE_PULL_FAILED, "The sync image cannot be pulled. Check its name and the pull secret"),
    "ImagePullBackOff": (
        Reason.IMAGE_PULL_FAILED,
        "The sync image cannot be pulled. Check its name and the pull secret",
    ),
    "ErrImageNeverPull": (Reason.IMAGE_PULL_FAILED, "The sync image is not on the node and may not be pulled"),
    "InvalidImageName": (Reason.IMAGE_PULL_FAILED, "The name of the sync image is not valid"),
    "CreateContainerConfigError": (
        Reason.SECRET_MISSING,
        "The sync cannot start because a Secret, or a key in it, is missing. Create it and the sync goes on",
    ),
    "Unschedulable": (
        Reason.UNSCHEDULABLE,
        "No node can take the sync. Check resources, node selector and tolerations",
    ),
}

_OBSTACLES: Final = frozenset(reason for reason, _ in _WAITING.values())

MESSAGES: Final[dict[Reason, str]] = {
    Reason.CANCELLED: "Cancelled",
    Reason.DEADLINE_EXCEEDED: "The sync did not finish within {seconds} seconds. Raise timeoutSeconds or narrow the "
    "date range",
    Reason.OUT_OF_MEMORY: "The sync ran out of memory. Raise the memory limit of the sync container",
    Reason.EVICTED: "The node evicted the sync. Check the node's memory and disk",
    Reason.POD_FAILED: "The sync stopped with exit code {exit_code} and left no result. See its log",
    Reason.JOB_DELETED: "The job of the sync was deleted before its result could be read. Start a new sync",
    Reason.JOB_CONFLICT: "Another job has the name that belongs to this sync. Remove it and start a new sync",
    Reason.JOB_REFUSED: "The cluster refused the job: {why}",
    Reason.RESULT_MISSING: "The sync ended but its result is gone. See its log, then start a new sync",
    Reason.RESULT_BROKEN: "The sync ended but its result cannot be read. See its log, then start a new sync",
}

_NO_WORDS: Final = "The sync failed and did not say why. See its log"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a sync ended. A failed one has zero results, because it left the tables as they were."""

    phase: Phase
    reason: Reason
    message: str
    results: Results = Results()


def fail(reason: Reason, *, message: str = "", **details: object) -> Outcome:
    """A failure with the more precise message given, or else with that of the table; never without words."""
    words = message or MESSAGES.get(reason, _NO_WORDS).format(**details)
    return Outcome(phase=Phase.FAILED, reason=reason, message=words)


def compute_obstacle(observation: JobObservation) -> tuple[Reason, str] | None:
    """Why the newest run cannot start, if it is stuck; it may still get going once a person has acted."""
    known = _WAITING.get(observation.waiting_reason or "")
    if known is None:
        return None
    reason, cure = known
    return reason, f"{cure}: {observation.waiting_message}" if observation.waiting_message else f"{cure}."


def compute_outcome(observation: JobObservation, sync: EstimateSync) -> Outcome:
    """Judge a job that has ended (SUCCEEDED or FAILED). A run that was done counts, even one that met the deadline."""
    if observation.failure_reason == _DEADLINE and observation.exit_code != ExitCode.DONE:
        return _judge_deadline(sync)
    if observation.termination_message:
        return _judge_result(observation, sync.uid)
    return _judge_silence(observation)


def _judge_deadline(sync: EstimateSync) -> Outcome:
    """A deadline deletes the pod and its message: the cause is the job's, or the obstacle that stood until then."""
    if sync.status.reason in _OBSTACLES:
        return fail(Reason(sync.status.reason), message=sync.status.message or "")
    return fail(Reason.DEADLINE_EXCEEDED, seconds=sync.spec.timeout_seconds)


def _judge_result(observation: JobObservation, sync_uid: str) -> Outcome:
    try:
        result = parse_result(observation.termination_message or "", sync_uid=sync_uid)
    except BrokenResultError:
        return fail(Reason.RESULT_BROKEN)
    if result.error is not None:
        return fail(result.error.reason, message=result.error.message)
    if observation.state is not JobState.SUCCEEDED and observation.exit_code != ExitCode.DONE:
        return fail(Reason.RESULT_BROKEN)
    return _succeed(result)


def _succeed(result: SyncResult) -> Outcome:
    counts = result.results
    message = f"New: {counts.new_estimates}, Updated: {counts.updated_estimates}"
    return Outcome(phase=Phase.SUCCEEDED, reason=Reason.SUCCEEDED, message=message, results=counts)


def _judge_silence(observation: JobObservation) -> Outcome:
    """The program could not say anything: the node may know why."""
    if observation.container_reason == _OUT_OF_MEMORY:
        return fail(Reason.OUT_OF_MEMORY)
    if observation.container_reason == _EVICTED:
        return fail(Reason.EVICTED)
    if observation.exit_code is None or observation.exit_code == ExitCode.DONE:
        return fail(Reason.RESULT_MISSING)
    return fail(Reason.POD_FAILED, exit_code=observation.exit_code)

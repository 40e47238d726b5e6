"""Why a sync is where it is: the reason in one CamelCase word, what happened, and what a person should do about it.

The one table of causes. Results, status, conditions, events, the status page, the client and docs/causes.md use it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

_SEE_LOG: Final = "See its log"
_SEE_LOG_AND_REPEAT: Final = "See its log, then start a new sync"

_QUOTE_MAX_LENGTH: Final = 600


class Reason(StrEnum):
    """Why a sync is where it is. What a person should do about it is said in the message next to it."""

    QUEUED = "Queued"
    SUSPENDED = "Suspended"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    CANCELLED = "Cancelled"

    # Reported by the sync program in its result.
    LOGIN_FAILED = "LoginFailed"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    SOURCE_INVALID = "SourceInvalid"
    SOURCE_CHANGING = "SourceChanging"
    SOURCE_EMPTY = "SourceEmpty"
    FIELDS_UNSHOWN = "FieldsUnshown"
    RECORD_INVALID = "RecordInvalid"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"
    DATABASE_REFUSED = "DatabaseRefused"
    CONFIGURATION_INVALID = "ConfigurationInvalid"
    INTERRUPTED = "Interrupted"
    INTERNAL_ERROR = "InternalError"

    # What keeps a sync from running, for now: it goes on by itself once a person has acted.
    JOB_REFUSED = "JobRefused"
    POD_REFUSED = "PodRefused"
    LIMIT_MISSING = "LimitMissing"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason, not a password
    CONTAINER_REFUSED = "ContainerRefused"
    INIT_CONTAINER_STUCK = "InitContainerStuck"
    NODE_LOST = "NodeLost"
    JOB_SUSPENDED = "JobSuspended"
    SCHEDULING_GATED = "SchedulingGated"

    # Seen from outside, when the sync program had no chance to say anything.
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    OUT_OF_MEMORY = "OutOfMemory"
    OUT_OF_STORAGE = "OutOfStorage"
    INIT_CONTAINER_FAILED = "InitContainerFailed"
    EVICTED = "Evicted"
    EVICTED_TOO_OFTEN = "EvictedTooOften"
    NODE_REFUSED = "NodeRefused"
    POD_FAILED = "PodFailed"
    MALFORMED = "Malformed"
    JOB_DELETED = "JobDeleted"
    JOB_CONFLICT = "JobConflict"
    RESULT_MISSING = "ResultMissing"
    RESULT_BROKEN = "ResultBroken"


HOLDS: Final = frozenset({Reason.JOB_SUSPENDED, Reason.SCHEDULING_GATED})
"""What somebody keeps a sync from running by on purpose, such as a queue: it has a limit of its own."""

BLOCKERS: Final = HOLDS | frozenset(
    {
        Reason.JOB_REFUSED,
        Reason.POD_REFUSED,
        Reason.LIMIT_MISSING,
        Reason.UNSCHEDULABLE,
        Reason.IMAGE_PULL_FAILED,
        Reason.SECRET_MISSING,
        Reason.CONTAINER_REFUSED,
        Reason.INIT_CONTAINER_STUCK,
        Reason.NODE_LOST,
    }
)
"""A running sync with one of these is stalled."""

ENDS: Final = frozenset(Reason) - {
    *(Reason.QUEUED, Reason.SUSPENDED, Reason.STARTING, Reason.RUNNING, Reason.STOPPING),
    *BLOCKERS,
}
"""What only a sync has that has ended, or whose end is decided."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table. `{name}` stands for a detail that only the single case knows."""

    reason: Reason
    happened: str
    cure: str
    general: str = ""
    """`happened` without its details; blank where it has none."""

    @property
    def summary(self) -> str:
        """What happened, as it can be said without the details."""
        return self.general or self.happened

    @property
    def message(self) -> str:
        """What the status says."""
        return f"{self.happened}. {self.cure}" if self.cure else self.happened


CAUSES: Final = (
    # What lasts until someone acts. The words of Kubernetes follow after a colon.
    Cause(
        reason=Reason.JOB_REFUSED,
        happened="The cluster refuses the job",
        cure="Check the quotas, the admission webhooks and the operator's rights",
    ),
    Cause(
        reason=Reason.POD_REFUSED,
        happened="The cluster refuses the pod of the sync",
        cure="Check the service account, the quotas and the Pod Security level of the namespace",
    ),
    Cause(
        reason=Reason.LIMIT_MISSING,
        happened="A quota of the namespace wants a request or a limit that the pod of the sync does not have",
        cure="Set it among the chart's sync values, or give the namespace a LimitRange that sets it for every pod",
    ),
    Cause(
        reason=Reason.UNSCHEDULABLE,
        happened="No node can take the sync",
        cure="Check resources, node selector and tolerations",
    ),
    Cause(
        reason=Reason.IMAGE_PULL_FAILED,
        happened="The sync image is not available",
        cure="Check its name, its registry and the pull secret",
    ),
    Cause(
        reason=Reason.SECRET_MISSING,
        happened="The sync cannot start because a Secret, or a key in it, is missing",
        cure="Create it and the sync goes on",
    ),
    Cause(
        reason=Reason.CONTAINER_REFUSED,
        happened="The node cannot start the container of the sync",
        cure="Check the sync image, the security settings of its pod, and the ConfigMap of its authorities",
    ),
    Cause(
        reason=Reason.INIT_CONTAINER_STUCK,
        happened="A container that is not ours has to finish before the sync can start, and does not",
        cure="Check it, and what adds it to pods: a mesh, an admission webhook",
    ),
    Cause(
        reason=Reason.NODE_LOST,
        happened="The node of the sync does not answer",
        cure="Bring it back, or delete the Node object so that the sync begins again on another",
    ),
    Cause(
        reason=Reason.JOB_SUSPENDED,
        happened="The job of the sync is suspended",
        cure="Resume it, or have the queue admit it that suspended it; where it may wait long, raise SUSPENDED_SECONDS",
    ),
    Cause(
        reason=Reason.SCHEDULING_GATED,
        happened="The pod of the sync is held back by a scheduling gate",
        cure="Have whoever set it remove it; where it may wait long, raise SUSPENDED_SECONDS",
    ),
    # How a sync ends when the sync program could not say anything itself.
    Cause(reason=Reason.CANCELLED, happened="Cancelled", cure=""),
    Cause(
        reason=Reason.DEADLINE_EXCEEDED,
        happened="The sync did not finish within {seconds} seconds",
        general="The sync did not finish in time",
        cure="Raise timeoutSeconds (for every sync: SYNC_TIMEOUT_SECONDS) or narrow the date range",
    ),
    Cause(
        reason=Reason.OUT_OF_MEMORY,
        happened="The sync ran out of memory",
        cure="Raise the memory limit of the sync container",
    ),
    Cause(
        reason=Reason.OUT_OF_STORAGE,
        happened="The pod of the sync used more disk than it may",
        cure="Raise its limit on ephemeral storage, or that of the namespace's LimitRange",
    ),
    Cause(
        reason=Reason.INIT_CONTAINER_FAILED,
        happened="A container that is not ours failed before the sync could start",
        cure="Check it, and what adds it to pods (a mesh, an admission webhook), then start a new sync",
    ),
    Cause(
        reason=Reason.EVICTED,
        happened="The cluster took the sync off its node",
        cure="Check the node's memory and disk, drains and priorities, then start a new sync",
    ),
    Cause(
        reason=Reason.EVICTED_TOO_OFTEN,
        happened="The cluster took the sync off its node {times} times",
        general="The cluster took the sync off its node too often",
        cure="Check the node's memory and disk, drains and priorities, or raise MAX_EVICTIONS, then start a new sync",
    ),
    Cause(
        reason=Reason.NODE_REFUSED,
        happened="The node refused the pod of the sync ({sign})",
        general="The node refused the pod of the sync",
        cure="Check the node's free resources and labels, then start a new sync",
    ),
    Cause(
        reason=Reason.POD_FAILED,
        happened="The sync stopped with exit code {exit_code} and left no result",
        general="The sync stopped and left no result",
        cure=_SEE_LOG,
    ),
    Cause(
        reason=Reason.MALFORMED,
        happened="The object cannot be read",
        cure="Delete it, correct what this message names, and start a new sync",
    ),
    Cause(
        reason=Reason.JOB_DELETED,
        happened="The job of the sync was deleted before its result could be read",
        cure="Start a new sync",
    ),
    Cause(
        reason=Reason.JOB_CONFLICT,
        happened="Another job has the name that belongs to this sync",
        cure="Remove it and start a new sync",
    ),
    Cause(reason=Reason.RESULT_MISSING, happened="The sync ended but its result is gone", cure=_SEE_LOG_AND_REPEAT),
    Cause(
        reason=Reason.RESULT_BROKEN, happened="The sync ended but its result cannot be read", cure=_SEE_LOG_AND_REPEAT
    ),
    # What the sync program reports; its own words come first, these stand in for them.
    Cause(
        reason=Reason.LOGIN_FAILED,
        happened="Login to Attic Tech failed",
        cure="Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD",
    ),
    Cause(
        reason=Reason.SOURCE_UNAVAILABLE,
        happened="Attic Tech did not answer",
        cure="Check ATTIC_TECH_URL and the network, then start a new sync",
    ),
    Cause(
        reason=Reason.SOURCE_INVALID,
        happened="Attic Tech answered with something other than estimates",
        cure="Check ATTIC_TECH_URL",
    ),
    Cause(
        reason=Reason.SOURCE_CHANGING,
        happened="Estimates whose ids are not numbers changed until the sync's time was over",
        cure="Start a new sync at a quieter hour, or with a longer timeoutSeconds",
    ),
    Cause(
        reason=Reason.SOURCE_EMPTY,
        happened="Attic Tech shows fewer estimates than there must be",
        cure="Check what the account of ATTIC_TECH_EMAIL may read; if there are so few, lower SYNC_MIN_ESTIMATES",
    ),
    Cause(
        reason=Reason.FIELDS_UNSHOWN,
        happened="Attic Tech does not show fields that the estimates need",
        cure="Let the account of ATTIC_TECH_EMAIL read them; the log names them",
    ),
    Cause(
        reason=Reason.RECORD_INVALID,
        happened="An estimate cannot be stored",
        cure="Correct it in Attic Tech; the log names it",
    ),
    Cause(
        reason=Reason.DATABASE_UNAVAILABLE,
        happened="The database did not answer",
        cure="Check DATABASE_URL and the server, then start a new sync",
    ),
    Cause(
        reason=Reason.DATABASE_REFUSED,
        happened="The database refused the sync",
        cure="Check the login, its rights and the schema",
    ),
    Cause(
        reason=Reason.CONFIGURATION_INVALID,
        happened="The settings of the sync cannot be used",
        cure="The log names each of them",
    ),
    Cause(reason=Reason.INTERRUPTED, happened="The sync was stopped before it was done", cure="Start a new sync"),
    Cause(reason=Reason.INTERNAL_ERROR, happened="The sync program failed because of a defect in it", cure=_SEE_LOG),
)

_BY_REASON: Final[Mapping[Reason, Cause]] = {cause.reason: cause for cause in CAUSES}


def format_cause(reason: Reason, *, quote: str | None = None, **details: object) -> str:
    """Say what happened and what to do, then, after a colon, what Kubernetes says about it."""
    message = _BY_REASON[reason].message.format(**details)
    return f"{message}: {quote[:_QUOTE_MAX_LENGTH]}" if quote else message

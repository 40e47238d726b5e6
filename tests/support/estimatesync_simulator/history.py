"""What a history is made of: syncs, what becomes of their pods and callbacks, and what goes wrong at which moment.

A history is a value: the same one happens again to the last step, and one that breaks a promise can be shortened by
leaving out one decision after another.
"""

import random
from enum import StrEnum
from typing import Final

import msgspec
from estimatesync_contract.causes import Reason


class Point(StrEnum):
    """Every kind of step that the operator makes towards the world; it can die before and after each."""

    LIST_SYNCS = "lists the syncs"
    READ_SYNC = "reads the sync"
    READ_JOB = "reads the job"
    LIST_PODS = "lists the pods"
    LIST_EVENTS = "lists the events"
    READ_LOG = "reads the log"
    CREATE_JOB = "creates the job"
    STOP_JOB = "stops the job"
    STOP_RUN = "stops the run"
    LIST_LEFTOVERS = "lists leftover jobs"
    DELETE_LEFTOVER = "deletes a leftover job"
    DELETE_SYNC = "deletes the sync"
    EMIT_EVENT = "emits an event"
    SEND_CALLBACK = "sends the callback"
    SEND_ALERT = "sends the alert"
    RECORD_WAITING = "records a place in the queue"
    RECORD_START = "records the start"
    RECORD_RUNNING = "records the progress"
    RECORD_BLOCKER = "records a blocker"
    RECORD_STOPPING = "records the stopping"
    RECORD_END = "records the end"
    RECORD_ATTEMPT = "records the attempt"
    RECORD_ALERT = "records the alert"
    RECORD_ALERT_ATTEMPT = "records the alert's attempt"
    RECORD_LOG = "keeps the log"
    RECORD_STAY = "records the stay"
    RECORD_MALFORMED = "records that the sync is malformed"
    READ_LEASE = "reads the lease"
    TAKE_LEASE = "takes the lease"
    RENEW_LEASE = "renews the lease"
    TAKE_SLOT = "takes a slot"
    RELEASE_LEASE = "gives the lease back"


READS: Final = frozenset(
    {
        *(Point.LIST_SYNCS, Point.READ_SYNC, Point.READ_JOB, Point.LIST_PODS, Point.LIST_EVENTS, Point.READ_LOG),
        *(Point.LIST_LEFTOVERS, Point.READ_LEASE),
    }
)


SENDS: Final = frozenset({Point.SEND_CALLBACK, Point.SEND_ALERT})
"""To a receiver, not to the API server."""


class Effect(StrEnum):
    """What can go wrong with a call, and what the world and its people can do meanwhile."""

    # With a call of the operator.
    KILL_BEFORE = "the operator dies before"
    KILL_AFTER = "the operator dies after"
    LOST_REQUEST = "the request is lost"
    LOST_ANSWER = "the answer is lost"
    LATE_REQUEST = "the connection breaks, and the request arrives late"
    SLOW = "the answer takes long"
    PAUSE = "the operator is paused before, and another one stands by"
    CONFLICT = "409"
    GONE = "410"
    THROTTLED = "429"
    ERROR = "500"
    # In the world; while it lasts, `seconds` say how long.
    KILL = "an operator dies"
    SECOND_OPERATOR = "a second operator runs"
    ROLLOUT = "another operator replaces the first one"
    OUTAGE = "the API server is away"
    LATE_SYNCS = "the watch of syncs is late"
    LATE_JOBS = "the watch of jobs is late"
    RELIST = "the watch is cut and listed again"
    CLOCK = "the operator's clock jumps"
    QUOTA = "the cluster refuses jobs"
    NO_TARGET = "there is no webhook"
    # By people.
    CANCEL = "a person cancels"
    SUSPEND = "a person suspends the sync"
    RESUME = "a person lets the sync go on"
    TOUCH = "a person labels the sync"
    REDELIVER = "a person requests the callback again"
    DELETE_SYNC = "a person deletes the sync"
    RECREATE = "a person deletes the sync and creates it again"
    DELETE_JOB = "a person deletes the job"
    FOREIGN_JOB = "a person creates a job of that name"
    SUSPEND_JOB = "a person suspends the job"


CALL_FAULTS: Final = tuple(Effect)[: list(Effect).index(Effect.KILL)]
WORLD_EFFECTS: Final = tuple(Effect)[list(Effect).index(Effect.KILL) :]
PEOPLES: Final = frozenset(tuple(Effect)[list(Effect).index(Effect.CANCEL) :])
"""What people do, through the API server."""


RIVALS: Final = frozenset({Effect.PAUSE, Effect.SECOND_OPERATOR, Effect.ROLLOUT})
"""What makes two operators, or of one that does nothing one that another may take over from."""


def can_meet(point: Point, fault: Effect) -> bool:
    """Return whether this fault exists at this step: a read moves nothing, and a receiver is no API server."""
    if fault is Effect.CONFLICT:
        return point not in READS | SENDS
    if fault is Effect.GONE:
        return point is Point.LIST_SYNCS
    if fault is Effect.LATE_REQUEST:
        return point not in READS
    return True


class Fate(StrEnum):
    """What becomes of one pod."""

    SUCCEEDS = "succeeds"
    FAILS = "fails and may be tried again"
    FAILS_FOR_GOOD = "fails for good"
    CRASHES = "crashes"
    OUT_OF_MEMORY = "runs out of memory"
    SILENT = "ends without a result"
    GARBLED = "leaves a broken result"
    TOO_SLOW = "never ends by itself"
    EVICTED = "is evicted"
    SHUT_DOWN = "ends with its node's shutdown"
    NODE_REFUSED = "is refused by its node"
    NODE_LOST = "is on a node that falls silent"
    POD_REFUSED = "is not admitted"
    UNSCHEDULABLE = "fits on no node"
    NO_IMAGE = "has no image"
    NO_SECRET = "misses a Secret"  # noqa: S105 - a sentence
    NO_MOUNT = "misses a volume"
    NO_LIMIT = "is not admitted without a limit"
    GATED = "is held back by a gate"
    INIT_STUCK = "waits for an init container"
    INIT_FAILS = "has an init container that fails"
    TOO_LARGE = "uses more disk than it may"
    SIDECAR_STAYS = "succeeds, and its sidecar goes on"
    SIDECAR_STAYS_BEHIND = "fails and may be tried again, and its sidecar goes on"
    SIDECAR_FAILS = "succeeds, and its sidecar fails"
    SIDECAR_ON_LOST_NODE = "is interrupted, and its node falls silent while its sidecar goes on"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One pod: what becomes of it, after how many seconds, and for which reason where its program gives one.

    A sidecar that goes on ends as many seconds later.
    """

    fate: Fate = Fate.SUCCEEDS
    seconds: float = 5.0
    reason: Reason | None = None


class Response(StrEnum):
    """How a receiver takes one attempt."""

    OK = "200"
    UNREACHABLE = "does not answer"
    ERROR = "500"
    THROTTLED = "429"
    QUEUE_FULL = "400, queue is full"
    GONE = "410"
    MISSING = "404"


class SyncPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A sync that somebody creates, what becomes of its pods one after the other, and what its receiver answers."""

    at: float = 0.0
    timeout: int = 90
    max_retries: int = 1
    ttl: int | None = None
    wants_callback: bool = True
    targets: tuple[str, ...] = ()
    """Names of webhooks, which all answer in turn; the one without a name when empty."""
    is_suspended: bool = False
    is_malformed: bool = False
    runs: tuple[Run, ...] = ()
    responses: tuple[Response, ...] = ()
    alert_responses: tuple[Response, ...] = ()
    """What the receiver of alerts answers to the one about this sync."""

    def __str__(self) -> str:
        """Only what is not as usual."""
        usual = SyncPlan()
        fields = (field for field in self.__struct_fields__ if getattr(self, field) != getattr(usual, field))
        return ", ".join(f"{field} {_format_value(getattr(self, field))}" for field in fields) or "nothing special"


def _format_value(value: object) -> str:
    if isinstance(value, tuple):
        return f"({'; '.join(map(_format_value, value))})"
    return f"{value.fate} in {value.seconds:g} s" if isinstance(value, Run) else str(value)


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens: at a time, or at the nth time that the operator makes a certain step."""

    effect: Effect
    point: Point | None = None
    nth: int = 1
    at: float = 0.0
    sync: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        when = f"after {self.at:.1f} s" if self.point is None else f"when it {self.point} for the {self.nth}. time"
        whom = f" (sync-{self.sync})" if self.effect in PEOPLES else ""
        return f"{when}: {self.effect}{whom}, {self.seconds:g} s"


class History(msgspec.Struct, frozen=True, kw_only=True):
    """All that is decided beforehand; `jitter` seeds how long each call takes, None for always the same."""

    syncs: tuple[SyncPlan, ...]
    decisions: tuple[Decision, ...] = ()
    max_active: int = 1
    jitter: int | None = None

    @property
    def has_rivals(self) -> bool:
        """There are two operators for some time, or one that another may take over from."""
        return any(decision.effect in RIVALS for decision in self.decisions)

    @property
    def size(self) -> int:
        """How much there is to read."""
        runs = sum(len(sync.runs) + len(sync.responses) + len(sync.alert_responses) for sync in self.syncs)
        return 3 * len(self.syncs) + 2 * len(self.decisions) + runs


_PROGRAM_ERRORS: Final = {
    Fate.FAILS: (
        *(Reason.SOURCE_UNAVAILABLE, Reason.SOURCE_CHANGING, Reason.DATABASE_UNAVAILABLE),
        *(Reason.INTERRUPTED, Reason.INTERNAL_ERROR),
    ),
    Fate.SIDECAR_STAYS_BEHIND: (Reason.SOURCE_UNAVAILABLE, Reason.DATABASE_UNAVAILABLE),
    Fate.SIDECAR_ON_LOST_NODE: (Reason.INTERRUPTED,),
    Fate.FAILS_FOR_GOOD: (
        *(Reason.LOGIN_FAILED, Reason.SOURCE_INVALID, Reason.RECORD_INVALID, Reason.DATABASE_REFUSED),
        *(Reason.CONFIGURATION_INVALID, Reason.FIELDS_UNSHOWN, Reason.SOURCE_EMPTY),
    ),
}
_OUTCOMES: Final = tuple((fate, reason) for fate in Fate for reason in _PROGRAM_ERRORS.get(fate, (None,)))
"""All that may become of a pod, each as likely as the others."""
CELLS: Final = tuple((point, fault) for point in Point for fault in CALL_FAULTS if can_meet(point, fault))
"""Every step with every fault that it can meet; each history is about one of them, and much else happens in it."""

_BLOCKED: Final = (
    *(Fate.POD_REFUSED, Fate.UNSCHEDULABLE, Fate.NO_IMAGE, Fate.NO_SECRET, Fate.NO_MOUNT),
    *(Fate.NO_LIMIT, Fate.GATED, Fate.INIT_STUCK),
)
_TOLD_BY_EVENTS: Final = (Fate.POD_REFUSED, Fate.NO_MOUNT, Fate.NO_LIMIT)
"""Those of them that neither the pod nor its job says the cause of."""
_REFUSED: Final = Run(fate=Fate.FAILS_FOR_GOOD, reason=Reason.LOGIN_FAILED)
_FIRST_RUNS: Final = {
    Point.READ_LOG: Run(seconds=45.0),
    Point.RECORD_LOG: Run(fate=Fate.SIDECAR_STAYS, seconds=200.0),
    Point.STOP_RUN: Run(fate=Fate.SIDECAR_STAYS_BEHIND, seconds=200.0),
    # The newest that has succeeded stays, and gets an alert; any other goes.
    **dict.fromkeys((Point.RECORD_STAY, Point.SEND_ALERT, Point.RECORD_ALERT, Point.RECORD_ALERT_ATTEMPT), Run()),
    **dict.fromkeys((Point.DELETE_SYNC, Point.LIST_LEFTOVERS, Point.DELETE_LEFTOVER), _REFUSED),
}
"""What becomes of the first pod in a history that is about one of these steps."""
_DURATIONS: Final = (0.2, 3.0, 15.0, 40.0, 120.0)
_TARGETS: Final = ((), (), ("default", "billing"), ("billing",), ("crm", "default", "billing"))
_BUSY_SECONDS: Final = 60.0
"""In which everything is begun; what is begun may last longer."""


def generate_history(seed: int) -> History:
    """Make up a history; the same seed always makes the same one, and successive seeds are about successive cells."""
    rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    point, fault = CELLS[seed % len(CELLS)]
    syncs = tuple(_generate_sync(rng) for _ in range(rng.choice((1, 1, 2, 2, 3))))
    first, *others = _lead_to(point, syncs[0], rng)
    # The oldest stays while none has succeeded, so that another one has to succeed before it goes.
    successor = (SyncPlan(),) if _FIRST_RUNS.get(point) is _REFUSED else ()
    # Drawn apart, so that all else of a history is as it would be with one webhook.
    draw = random.Random(-seed)  # noqa: S311 - likewise
    return History(
        syncs=tuple(
            msgspec.structs.replace(sync, targets=draw.choice(_TARGETS), alert_responses=_draw_responses(draw))
            for sync in (first, *syncs[1:], *successor)
        ),
        decisions=(
            Decision(effect=fault, point=point, seconds=rng.choice(_DURATIONS)),
            *others,
            *(_generate_decision(rng, len(syncs), point) for _ in range(rng.choice((0, 1, 2, 3, 5)))),
        ),
        max_active=rng.choice((1, 1, 1, 2)),
        jitter=seed,
    )


def _lead_to(point: Point, sync: SyncPlan, rng: random.Random) -> tuple[SyncPlan, *tuple[Decision, ...]]:
    """What a history needs in order to come to a step that not every sync makes."""
    match point:
        case Point.STOP_JOB | Point.RECORD_STOPPING:
            cancel = Decision(effect=Effect.CANCEL, at=rng.choice((0.5, 6.0)))
            slow = (Run(fate=Fate.TOO_SLOW),)
            return (
                msgspec.structs.replace(sync, at=0.0, is_malformed=False, is_suspended=False, runs=slow),
                cancel,
            )
        case Point.RECORD_BLOCKER | Point.LIST_EVENTS:
            blocked = _TOLD_BY_EVENTS if point is Point.LIST_EVENTS else _BLOCKED
            run = Run(fate=rng.choice(blocked), seconds=rng.choice((45.0, 200.0)))
            return (msgspec.structs.replace(sync, is_malformed=False, runs=(run, *sync.runs)),)
        case Point.RECORD_WAITING | Point.RECORD_MALFORMED:
            is_malformed = point is Point.RECORD_MALFORMED
            return (msgspec.structs.replace(sync, is_malformed=is_malformed, is_suspended=not is_malformed),)
        case _ if point in _FIRST_RUNS:
            usual = msgspec.structs.replace(sync, is_malformed=False, is_suspended=False, ttl=None, max_retries=1)
            return (msgspec.structs.replace(usual, timeout=300, runs=(_FIRST_RUNS[point],)),)
        case Point.RENEW_LEASE | Point.RELEASE_LEASE:
            effect = Effect.SECOND_OPERATOR if point is Point.RENEW_LEASE else Effect.ROLLOUT
            return (sync, *(Decision(effect=effect, at=at, seconds=120.0) for at in (0.0, 2.0, 20.0, 40.0)))
        case _:
            return (sync,)


def _generate_sync(rng: random.Random) -> SyncPlan:
    return SyncPlan(
        at=rng.choice((0.0, 0.0, 0.4, 3.0, 15.0)),
        timeout=rng.choice((40, 90, 150)),
        max_retries=rng.choice((0, 1, 2)),
        ttl=rng.choice((None, 0, 60)),
        wants_callback=rng.random() < 0.9,  # noqa: PLR2004 - most do
        is_suspended=rng.random() < 0.1,  # noqa: PLR2004 - few are
        is_malformed=rng.random() < 0.03,  # noqa: PLR2004 - fewer still
        runs=_generate_runs(rng),
        responses=_draw_responses(rng),
    )


def _draw_responses(rng: random.Random) -> tuple[Response, ...]:
    return tuple(rng.choice(tuple(Response)) for _ in range(rng.choice((0, 0, 1, 2, 12))))


def _generate_runs(rng: random.Random) -> tuple[Run, ...]:
    if rng.random() < 0.1:  # noqa: PLR2004 - now and then the same again and again
        return (_generate_run(rng),) * 4
    return tuple(_generate_run(rng) for _ in range(rng.choice((0, 0, 1, 1, 2))))


def _generate_run(rng: random.Random) -> Run:
    fate, reason = rng.choice(_OUTCOMES)
    return Run(fate=fate, seconds=rng.choice((0.2, 3.0, 12.0, 45.0, 200.0)), reason=reason)


def _generate_decision(rng: random.Random, syncs: int, first: Point) -> Decision:
    """Often at the very step that the history is about: what goes wrong together is the hardest."""
    point, effect = rng.choice(CELLS)
    is_there_too = rng.random() < 0.3  # noqa: PLR2004 - often
    if rng.random() < 0.6:  # noqa: PLR2004 - one fault is about another step already
        effect = rng.choice(WORLD_EFFECTS)
    is_at_call = effect in CALL_FAULTS or is_there_too or rng.random() < 0.5  # noqa: PLR2004 - half
    if is_there_too and (effect in WORLD_EFFECTS or can_meet(first, effect)):
        point = first
    return Decision(
        effect=effect,
        point=point if is_at_call else None,
        nth=rng.choice((1, 1, 2, 3)),
        at=0.0 if is_at_call else round(rng.uniform(0, _BUSY_SECONDS), 1),
        sync=rng.randrange(syncs),
        seconds=rng.choice(_JUMPS if effect is Effect.CLOCK else _DURATIONS),
    )


_JUMPS: Final = (-3600.0, -90.0, -5.0, 5.0, 90.0, 3600.0)

"""What a history of one sync is made of: a source and how it changes, and what goes wrong at which step of its pods."""

import random
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from estimatesync_simulator.shrinking import leave_out


class Step(StrEnum):
    """Every kind of step that the sync program makes towards the world; its pod can die before and after each."""

    LOGIN = "logs in"
    PAGE = "asks for a page"
    CHANGES = "asks for changes"
    CONNECT = "connects to the database"
    READ_RUN = "looks for a run of this sync"
    STAGE = "stages rows"
    COUNT = "counts changed rows"
    FINISH = "counts what is staged"
    MERGE = "merges"
    COMMIT = "commits"
    CONFIRM = "looks whether it has committed"


REQUESTS: Final = frozenset({Step.LOGIN, Step.PAGE, Step.CHANGES})
"""Those to Attic Tech; the others go to the database."""


class Effect(StrEnum):
    """What can go wrong with a step, and what the world and its people can do meanwhile."""

    # With a step.
    KILL_BEFORE = "the pod dies before"
    KILL_AFTER = "the pod dies after"
    STOP = "the pod is told to stop"
    NODE_LOST = "the pod's node falls silent, while the pod goes on"
    LOST_REQUEST = "the request is lost"
    LOST_ANSWER = "the answer is lost"
    SLOW = "the answer takes long"
    # With one to Attic Tech.
    CUT = "the answer is cut short"
    PROXY = "a proxy answers"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    THROTTLED = "429"
    ERROR = "500"
    EXPIRED = "the token has expired"
    # With one to the database.
    REFUSED = "the database refuses"
    # In the world; while it lasts, `seconds` say how long.
    SOURCE_OUTAGE = "Attic Tech is away"
    DATABASE_OUTAGE = "the database is away"
    CLOCK = "Attic Tech's clock jumps"
    IMPORT = "an import begins"
    # By people.
    PASSWORD = "a person changes the password"  # noqa: S105 - a sentence
    BROKEN = "a person writes a number that is none"
    RIVAL = "another sync of the same days commits"


STEP_FAULTS: Final = tuple(Effect)[: list(Effect).index(Effect.SOURCE_OUTAGE)]
WORLD_EFFECTS: Final = tuple(Effect)[list(Effect).index(Effect.SOURCE_OUTAGE) :]
PASSING: Final = frozenset(
    {
        *(Effect.LOST_REQUEST, Effect.LOST_ANSWER, Effect.SLOW, Effect.CUT, Effect.PROXY, Effect.THROTTLED),
        *(Effect.ERROR, Effect.EXPIRED, Effect.UNAUTHORIZED, Effect.FORBIDDEN),
    }
)
"""What a request to Attic Tech gets over by itself: one of them costs a sync no pod."""

_HTTP_ONLY: Final = frozenset(STEP_FAULTS[list(Effect).index(Effect.CUT) : list(Effect).index(Effect.REFUSED)])


def can_meet(step: Step, fault: Effect) -> bool:
    """Return whether this fault exists at this step: a login needs no token, and a database speaks no HTTP."""
    if step is Step.LOGIN:
        return fault not in {Effect.EXPIRED, Effect.REFUSED}
    return fault is not Effect.REFUSED if step in REQUESTS else fault not in _HTTP_ONLY


CELLS: Final = tuple((step, fault) for step in Step for fault in STEP_FAULTS if can_meet(step, fault))
"""Every step with every fault that it can meet; each history is about one of them, and much else happens in it."""


class Kind(StrEnum):
    """How an estimate changes."""

    EDIT = "is edited"
    INSERT = "is created"
    DELETE = "is deleted"
    ENTER = "enters the range by an edit"
    BACKDATE = "gets an older date"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens to the source just before it answers its nth request.

    Attributes:
        target: picks the estimate.
        late: seconds that its stamp is behind the clock, as of a transaction that was open for a while.
    """

    request: int
    kind: Kind
    target: int
    late: float = 0.0

    def __str__(self) -> str:
        late = f", stamped {self.late:g} s ago" if self.late else ""
        return f"before the {self.request}. answer: an estimate {self.kind}{late}"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens at the nth time that a pod makes a step, whichever pod it is."""

    effect: Effect
    step: Step
    nth: int = 1
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"when a pod {self.step} for the {self.nth}. time: {self.effect}, {self.seconds:g} s"


class History(msgspec.Struct, frozen=True, kw_only=True):
    """All that is decided beforehand.

    Attributes:
        seed: of everything else: the first estimates, how long each answer takes, the jitter of delays.
        ages: of the estimates at the start, in days.
        stored: how many of them an earlier sync has stored, in an older version.
        hour: of the day on which the range ends; beyond 24 it has ended, and an edit takes an estimate out of it.
    """

    seed: int
    ages: tuple[int, ...] = (5, 5, 6, 30)
    stored: int = 2
    hour: float = 12.0
    page_size: int = 2
    concurrency: int = 2
    token_seconds: int = 7200
    max_retries: int = 2
    max_skipped_percent: int = 0
    changes: tuple[Change, ...] = ()
    decisions: tuple[Decision, ...] = ()

    def __str__(self) -> str:
        """Only what is not told apart."""
        return (
            f"{len(self.ages)} estimates, {self.stored} of them stored before; pages of {self.page_size}, "
            f"{self.concurrency} at a time; {self.max_retries} retries; tokens of {self.token_seconds} s"
        )


_AGES: Final = (5, 5, 6, 30, 44, 60, 90)
_DURATIONS: Final = (0.2, 3.0, 20.0, 50.0, 200.0)
_JUMPS: Final = (-25.0, -5.0, 5.0, 90.0, 3600.0)
"""Backwards only as far as the overlap allows, together with the stamps that are late."""


def generate_history(seed: int) -> History:
    """Make up a history; the same seed always makes the same one, and successive seeds are about successive cells."""
    rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    turn, cell = divmod(seed, len(CELLS))
    step, fault = CELLS[cell]
    ages = tuple(rng.choice(_AGES) for _ in range(rng.choice((0, 1, 4, 9, 14, 25))))
    busy = rng.choice((0, 0, 4, 12, 30))
    others = tuple(_generate_decision(rng, step) for _ in range(rng.choice((0, 0, 1, 2, 4))))
    if rng.random() < 0.3:  # noqa: PLR2004 - often
        # Another one at each turn of a cell, for after some of them no pod comes as far as the later steps.
        others += (_begin_with(WORLD_EFFECTS[(seed + turn) % len(WORLD_EFFECTS)], rng),)
    # What is imported is not read one by one, for the sake of time.
    small = () if any(decision.effect is Effect.IMPORT for decision in others) else (1, 2, 3)
    return History(
        seed=seed,
        ages=ages,
        stored=rng.randint(0, len(ages)),
        hour=rng.choice((12.0, 23.9995, 36.0)),
        page_size=rng.choice((*small, 10, 10, 100)),
        concurrency=rng.choice((1, 2, 4, 8)),
        token_seconds=rng.choice((7200, 7200, 60, 5)),
        max_retries=rng.choice((0, 1, 2, 2)),
        max_skipped_percent=rng.choice((0, 0, 50)),
        changes=(*_lead_to(step), *(_generate_change(rng) for _ in range(busy))),
        decisions=(
            *_go_before(step, rng),
            Decision(effect=fault, step=step, seconds=rng.choice(_DURATIONS)),
            *_insist(step, fault, turn),
            *others,
        ),
    )


def _lead_to(step: Step) -> tuple[Change, ...]:
    """Only an estimate that has changed while it was read is counted."""
    requests = (3, 5, 8, 13, 21) if step is Step.COUNT else ()
    return tuple(Change(request=number, kind=Kind.INSERT, target=0) for number in requests)


def _go_before(step: Step, rng: random.Random) -> tuple[Decision, ...]:
    if step is not Step.CONFIRM:
        return ()
    return (Decision(effect=rng.choice((Effect.LOST_REQUEST, Effect.LOST_ANSWER)), step=Step.COMMIT),)


def _insist(step: Step, fault: Effect, turn: int) -> tuple[Decision, ...]:
    """A refusal that comes again, and with a new token, is meant: every other one is."""
    is_meant = fault is Effect.FORBIDDEN and turn % 2 == 0
    return tuple(Decision(effect=fault, step=step, nth=nth) for nth in range(2, 20)) if is_meant else ()


def _begin_with(effect: Effect, rng: random.Random) -> Decision:
    seconds = rng.choice(_JUMPS) if effect is Effect.CLOCK else rng.choice((50.0, 1000.0))
    return Decision(effect=effect, step=rng.choice((Step.LOGIN, Step.PAGE)), seconds=seconds)


def _generate_change(rng: random.Random) -> Change:
    return Change(
        request=rng.randint(2, 30),
        kind=rng.choice((Kind.EDIT, *Kind)),
        target=rng.randint(0, 60),
        late=rng.choice((0.0, 0.0, 0.001, 5.0, 30.0)),
    )


def _generate_decision(rng: random.Random, first: Step) -> Decision:
    """Often at the very step that the history is about: what goes wrong together is the hardest."""
    step, effect = rng.choice(CELLS)
    if rng.random() < 0.4:  # noqa: PLR2004 - often
        effect = rng.choice(WORLD_EFFECTS)
    if rng.random() < 0.3 and (effect in WORLD_EFFECTS or can_meet(first, effect)):  # noqa: PLR2004 - often
        step = first
    seconds = rng.choice(_JUMPS if effect is Effect.CLOCK else _DURATIONS)
    return Decision(effect=effect, step=step, nth=rng.choice((1, 1, 2, 3)), seconds=seconds)


def list_shorter(history: History) -> Iterator[History]:
    """List histories in which one thing less is decided; see `shrink`."""
    for decisions in leave_out(history.decisions):
        yield msgspec.structs.replace(history, decisions=decisions)
    for changes in leave_out(history.changes):
        yield msgspec.structs.replace(history, changes=changes)
    for ages in leave_out(history.ages):
        yield msgspec.structs.replace(history, ages=ages, stored=min(history.stored, len(ages)))
    for field in ("stored", "max_retries"):
        if value := getattr(history, field):
            yield msgspec.structs.replace(history, **{field: value - 1})

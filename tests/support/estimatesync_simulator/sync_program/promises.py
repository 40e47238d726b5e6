"""What is promised of every history of a sync, judged by what the source held and what the tables hold.

Nothing is compared with what the program says of itself, but its own claims: its counts, and the instant as of which
nothing is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Final, Protocol

from estimatesync_contract.causes import Reason
from estimatesync_job.core.errors import Failure
from estimatesync_job.core.ports import StoredRun
from estimatesync_job.core.rows import Row

from estimatesync_simulator.sync_program.database import Commit, Database
from estimatesync_simulator.sync_program.history import PASSING, REQUESTS, Effect, History, Step
from estimatesync_simulator.sync_program.pod import Pod
from estimatesync_simulator.sync_program.source import Source

RIVAL: Final = "rival"
"""Who commits another sync of the same days."""

CAUSES: Final[Mapping[Reason, frozenset[Effect]]] = {
    Reason.LOGIN_FAILED: frozenset({Effect.PASSWORD, Effect.UNAUTHORIZED, Effect.FORBIDDEN}),
    Reason.SOURCE_INVALID: frozenset({Effect.FORBIDDEN}),
    Reason.SOURCE_UNAVAILABLE: frozenset({Effect.SOURCE_OUTAGE, *PASSING}),
    Reason.RECORD_INVALID: frozenset({Effect.BROKEN}),
    Reason.DATABASE_REFUSED: frozenset({Effect.REFUSED}),
    Reason.DATABASE_UNAVAILABLE: frozenset({Effect.DATABASE_OUTAGE, Effect.LOST_REQUEST, Effect.LOST_ANSWER}),
    Reason.INTERRUPTED: frozenset({Effect.STOP, Effect.SLOW, Effect.THROTTLED, Effect.SOURCE_OUTAGE}),
}
"""What must have happened for a sync to end so; a reason that is missing here is a defect whenever it is given."""


class World(Protocol):
    """What is judged."""

    history: History
    source: Source
    database: Database
    pods: list[Pod]
    verdict: StoredRun | Failure | None
    calm: Pod | None
    met: set[Effect]
    earlier: dict[int, Row]


def judge(world: World) -> Iterator[str]:
    """List the promises that are broken at the end of a history."""
    own = [commit for commit in world.database.commits if world.pods and commit.uid == world.pods[0].uid]
    if len(own) > 1:
        yield "the sync has committed twice"
    yield from _judge_tables(world)
    for commit in world.database.commits:
        yield from _judge_counts(commit)
        yield from _judge_versions(commit)
    for commit in own:
        yield from _judge_completeness(world, commit)
    for pod in world.pods:
        yield from _judge_outcome(world, pod, own)
    yield from _judge_patience(world)
    yield from _judge_next(world)


def _judge_tables(world: World) -> Iterator[str]:
    """Each commit begins where the one before has ended: nothing changes the tables in between."""
    stored = world.earlier
    for commit in world.database.commits:
        if commit.before != stored:
            yield f"something has changed without a commit, before that of {commit.pod}"
        stored = commit.after
    if world.database.estimates != stored:
        yield "something has changed without a commit, at the end"


def _judge_counts(commit: Commit) -> Iterator[str]:
    """New and updated are the distinct estimates that were merged, and as many rows changed as the counts say."""
    before, after, counts = commit.before, commit.after, commit.run.results
    new, changed = len(after.keys() - before.keys()), sum(after[number] != before[number] for number in before)
    if (counts.new_estimates, counts.updated_estimates - counts.unchanged_estimates) != (new, changed):
        yield f"{commit.pod} counts {counts}, but {new} rows are new and {changed} have changed"
    if counts.total_processed != counts.new_estimates + counts.updated_estimates:
        yield f"{commit.pod}: new and updated are not what was processed: {counts}"
    if commit.pod != RIVAL and counts.total_fetched != counts.total_processed + counts.skipped_estimates:
        yield f"{commit.pod}: processed and skipped are not what was read: {counts}"


def _judge_versions(commit: Commit) -> Iterator[str]:
    for number, row in commit.before.items():
        if number not in commit.after:
            yield f"{commit.pod} has deleted estimate {number}"
        elif _read_version(commit.after[number]) < _read_version(row):
            yield f"{commit.pod} has replaced estimate {number} by an older version"


def _judge_completeness(world: World, commit: Commit) -> Iterator[str]:
    """What was in the range at the start, and as of the claimed instant, is there in its version of then or a newer."""
    pod = next(pod for pod in world.pods if pod.name == commit.pod)
    seen = world.source.seen[pod.began :]
    as_of = commit.run.complete_as_of
    if as_of is None:
        yield "it does not say as of when it is complete"
        return
    for when, versions in (("at the start", seen[0][1]), (f"as of {as_of}", _find_state(seen, as_of))):
        for number, version in versions.items():
            row = commit.after.get(number)
            may_lack = number in world.source.gone | world.source.broken
            if not may_lack and (row is None or _read_version(row) < version):
                yield f"estimate {number} was there {when} in version {version}; stored is {row and row.crew_notes}"
    known = {number for _, versions in world.source.seen for number in versions} | world.source.passing
    for number in commit.after.keys() - commit.before.keys() - known:
        yield f"estimate {number} was never in the range"


def _find_state(seen: Sequence[tuple[datetime, Mapping[int, int]]], as_of: datetime) -> Mapping[int, int]:
    """Find the last state before the clock first passed an instant; a clock that jumps back passes it again."""
    until = list(takewhile(lambda state: state[0] <= as_of, seen))
    return until[-1][1] if until else {}


def _judge_outcome(world: World, pod: Pod, own: Sequence[Commit]) -> Iterator[str]:
    """A success is what was committed; a failure has stored nothing, and has a cause."""
    if isinstance(pod.outcome, StoredRun):
        if not own:
            yield f"{pod.name} reports success, but nothing is committed"
        elif (pod.outcome.results, pod.outcome.complete_as_of) != (own[0].run.results, own[0].run.complete_as_of):
            yield f"{pod.name} reports {pod.outcome}, but committed is {own[0].run}"
    if isinstance(pod.outcome, Failure):
        reason = pod.outcome.error.reason
        if not CAUSES.get(reason, frozenset()) & world.met:
            yield f"{pod.name} fails with {reason.value}, for which there is no cause: {pod.outcome.error.message}"
        if any(commit.pod == pod.name for commit in own) and not pod.has_asked_about_commit:
            yield f"{pod.name} reports a failure, but has committed"


def _judge_patience(world: World) -> Iterator[str]:
    """One fault of a request that passes costs no pod; only what a login is told is taken at its word."""
    decided = world.history.decisions
    if len(decided) != 1 or decided[0].effect not in PASSING or decided[0].step not in REQUESTS:
        return
    is_refused = decided[0].step is Step.LOGIN and decided[0].effect in {Effect.UNAUTHORIZED, Effect.FORBIDDEN}
    if not is_refused and not isinstance(world.pods[0].outcome, StoredRun):
        yield f"a single fault that passes has cost a pod: {decided[0]}"


def _judge_next(world: World) -> Iterator[str]:
    """Whatever has become of the sync, the next one makes the tables what the source is."""
    if world.calm is None:
        return
    if not isinstance(world.calm.outcome, StoredRun):
        yield f"the next sync, in peace, does not succeed: {world.calm.outcome}"
        return
    for number, version in world.source.list_versions().items():
        if number in world.source.gone:
            # Its stamps have gone back, so that a newer version may look like an older one.
            continue
        row = world.database.estimates.get(number)
        if row is None or _read_version(row) != version:
            yield f"after the next sync, estimate {number} is stored as {row and row.crew_notes}, not {version}"


def _read_version(row: Row) -> int:
    return int(row.crew_notes or 0)

"""Lets a history of one sync happen: its pods one after the other, a source and a database around them, and time."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec
from estimatesync_contract.result import ExitCode
from estimatesync_contract.spec import Mode
from estimatesync_job.core.errors import Failure
from estimatesync_job.core.ports import Source as SourcePort
from estimatesync_job.core.ports import StoredRun
from estimatesync_job.core.rows import Row, map_record

from estimatesync_simulator.loop import SimulatedLoop
from estimatesync_simulator.sync_program.database import Commit, Database, Die, Meet, Transaction, merge_rows
from estimatesync_simulator.sync_program.history import WORLD_EFFECTS, Decision, Effect, History, Step
from estimatesync_simulator.sync_program.pod import TIMEOUT_SECONDS, Pod
from estimatesync_simulator.sync_program.promises import RIVAL, judge
from estimatesync_simulator.sync_program.source import Source

UID: Final = "uid-0"
NEXT_UID: Final = "uid-1"
RIVAL_UID: Final = "uid-rival"

SUCCEEDED: Final = "Succeeded"
UNKNOWN: Final = "no pod could say"

_ENDED_BY: Final = 4.0 * TIMEOUT_SECONDS
_BACKOFF_SECONDS: Final = 10.0
_GRACE_SECONDS: Final = 30.0
_LATENCIES: Final = (0.001, 0.02, 0.05, 0.3)


class Report(msgspec.Struct, kw_only=True):
    """What became of a history."""

    log: Sequence[str]
    violations: Sequence[str]
    steps: Counter[Step]
    cells: set[tuple[Step, Effect]]
    effects: set[Effect]
    end: str
    pods: int
    seconds: float


class Program:
    """What of the program a test may replace, to see that a broken one is noticed."""

    transaction: type[Transaction] = Transaction

    def wrap_source(self, source: SourcePort) -> SourcePort:
        """Leave the source as the program sees it."""
        return source


def run_history(history: History, program: Program | None = None) -> Report:
    """Let a history happen, and judge it."""
    # The jitter of retries is drawn from Python's common source.
    before = random.getstate()
    random.seed(history.seed)
    loop = SimulatedLoop()
    try:
        return World(history, loop, program or Program()).run()
    finally:
        random.setstate(before)
        loop.close()


class World:
    """Everything around the pods.

    Attributes:
        verdict: what the last pod has reported, which is how the sync has ended; None if none could.
        met: the effects that came to pass.
        earlier: what was stored before.
        calm: the pod of the next sync, after everything has come to rest.
    """

    def __init__(self, history: History, loop: SimulatedLoop, program: Program) -> None:
        self.history = history
        self.log: list[str] = []
        self.source = Source(history, now=loop.time, tell=self.tell)
        self.database = Database()
        self.source_away_until = 0.0
        self.pods: list[Pod] = []
        self.verdict: StoredRun | Failure | None = None
        self.calm: Pod | None = None
        self.met: set[Effect] = set()
        self.earlier: dict[int, Row] = {}
        self._program: Final = program
        self._loop: Final = loop
        self._rng: Final = random.Random(history.seed)  # noqa: S311 - a simulation, not a secret
        self._steps: Final[Counter[Step]] = Counter()
        self._cells: Final[set[tuple[Step, Effect]]] = set()
        self._seconds: Final[dict[Step, float]] = {}
        self._is_calm = False
        self._broken: Final[list[str]] = []

    def run(self) -> Report:
        """Let everything happen until nothing is left to happen."""
        asyncio.set_event_loop(self._loop)
        everything = self._loop.create_task(self._run())
        try:
            self._loop.run_until(everything.done, deadline=_ENDED_BY)
            if not everything.done():
                self.note_broken(f"the sync has not ended after {_ENDED_BY:g} s")
            elif error := everything.exception():
                self.note_broken(f"the simulation itself fails: {error!r}")
            self._broken.extend(self._loop.failures)
            seconds = self._loop.time()
            self._clean_up()
        finally:
            asyncio.set_event_loop(None)
        self._broken.extend(judge(self))
        return Report(
            log=self.log,
            violations=self._broken,
            steps=self._steps,
            cells=self._cells,
            effects=self.met,
            end=self._name_end(),
            pods=len(self.pods),
            seconds=seconds,
        )

    def open_store(self, uid: str, pod: str, meet: Meet, die: Die) -> Transaction:
        """Make the transaction of a pod."""
        return self._program.transaction(self.database, uid=uid, pod=pod, meet=meet, die=die)

    def wrap_source(self, source: SourcePort) -> SourcePort:
        """Let the sync see the source as it is, or as a test wants it to."""
        return self._program.wrap_source(source)

    async def meet(self, pod: Pod, step: Step) -> Effect | None:
        """Let a pod make a step, and return what goes wrong with it."""
        fault = None if self._is_calm else self._decide(pod, step)
        await asyncio.sleep(self._rng.choice(_LATENCIES) + (self.get_seconds(step) if fault is Effect.SLOW else 0.0))
        return fault

    def get_seconds(self, step: Step) -> float:
        """How long what went wrong at this step lasts."""
        return self._seconds.get(step, 0.0)

    def note_broken(self, promise: str) -> None:
        """Take down that a promise is broken."""
        self.tell(f"BROKEN: {promise}")
        self._broken.append(promise)

    def tell(self, line: str) -> None:
        """Add a line to the log."""
        self.log.append(f"{self._loop.time():9.3f} {line}")

    def _decide(self, pod: Pod, step: Step) -> Effect | None:
        self._steps[step] += 1
        due = [one for one in self.history.decisions if one.step is step and one.nth == self._steps[step]]
        fault = next((one for one in due if one.effect not in WORLD_EFFECTS), None)
        self.tell(f"{pod.name} {step}" + (f": {fault.effect}" if fault else ""))
        for decision in due:
            if decision.effect in WORLD_EFFECTS:
                self._let_happen(decision)
        if fault is None:
            return None
        self._seconds[step] = fault.seconds
        self._cells.add((step, fault.effect))
        self.met.add(fault.effect)
        if fault.effect is Effect.STOP:
            pod.stop()
        if fault.effect is Effect.NODE_LOST:
            pod.lose_node()
        return fault.effect

    def _let_happen(self, decision: Decision) -> None:
        self.tell(f"{decision.effect}, {decision.seconds:g} s")
        self.met.add(decision.effect)
        until = self._loop.time() + decision.seconds
        match decision.effect:
            case Effect.SOURCE_OUTAGE:
                self.source_away_until = until
            case Effect.DATABASE_OUTAGE:
                self.database.away_until = until
            case Effect.CLOCK:
                self.source.move_clock(decision.seconds)
            case Effect.IMPORT:
                self.source.begin_import(until=until)
            case Effect.PASSWORD:
                self.source.change_password()
            case Effect.BROKEN:
                self.source.break_record()
            case Effect.RIVAL:
                self._commit_rival()

    def _commit_rival(self) -> None:
        """Another sync has read the source as it is; it waits while somebody else merges."""
        if self.database.lock.locked():
            return
        before = self.database.estimates
        self.database.estimates, results = merge_rows(before, self.list_rows(), at_begin=before)
        run = StoredRun(results=results, complete_as_of=self.source.read_clock())
        self.database.commits.append(
            Commit(uid=RIVAL_UID, pod=RIVAL, before=before, after=self.database.estimates, run=run)
        )

    def list_rows(self) -> list[Row]:
        """What is in the range now, as rows."""
        records = self.source.store.read_all()
        inside = self.source.list_versions()
        mapped = (map_record(msgspec.Raw(msgspec.json.encode(one))) for one in records if one["id"] in inside)
        return [row for row in mapped if isinstance(row, Row)]

    async def _run(self) -> None:
        self._store_earlier()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._run_pods()
        except TimeoutError:
            self.tell("the sync's time is over")
            await self._end_pods()
        await self._run_next()

    def _store_earlier(self) -> None:
        for row in self.list_rows()[: self.history.stored]:
            updated = row.at_updated_date - timedelta(days=1) if row.at_updated_date else None
            self.database.estimates[row.attic_tech_estimate_id] = row._replace(crew_notes="0", at_updated_date=updated)
        self.earlier = dict(self.database.estimates)

    async def _run_pods(self) -> None:
        """Be the job controller: another pod for one that died, or failed and may be tried again."""
        tasks = []
        for number in range(1 + self.history.max_retries):
            pod = Pod(f"pod-{number}", UID, self, page_size=self.history.page_size)
            self.pods.append(pod)
            tasks.append(asyncio.ensure_future(pod.run()))
            await pod.over.wait()
            self.verdict = pod.outcome
            if isinstance(pod.outcome, StoredRun) or _is_permanent(pod.outcome):
                break
            await asyncio.sleep(_BACKOFF_SECONDS * 2**number)
        await asyncio.wait(tasks)

    async def _end_pods(self) -> None:
        for pod in self.pods:
            pod.stop()
        await asyncio.sleep(_GRACE_SECONDS)
        for pod in self.pods:
            if not pod.over.is_set() or pod.is_lost:
                pod.kill()
        self.verdict = self.pods[-1].outcome

    async def _run_next(self) -> None:
        """Whatever has happened, the next sync of the same days, in peace, makes everything right."""
        self._is_calm = True
        self.source_away_until = self.database.away_until = 0.0
        self.source.come_to_rest()
        # What the sync says of itself, whatever it went through, must be enough to read just what has changed since.
        mode = (Mode.WHOLE, Mode.CHANGES)[self.history.seed % 2]
        retry = "the password is right again"
        self.calm = Pod("next sync", NEXT_UID, self, page_size=100, login_retry=retry, mode=mode)
        await self.calm.run()

    def _clean_up(self) -> None:
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until(lambda: all(task.done() for task in left), deadline=self._loop.time())

    def _name_end(self) -> str:
        match self.verdict:
            case StoredRun():
                return SUCCEEDED
            case Failure(error=error):
                return error.reason.value
            case _:
                return UNKNOWN


def _is_permanent(outcome: StoredRun | Failure | None) -> bool:
    return isinstance(outcome, Failure) and outcome.exit_code is ExitCode.PERMANENT

"""The operator is killed before and after everything it does to the world, and each time the sync ends as promised.

Before: its request has left it and never arrives. After: what it asked for is done, and it never learns of that.
An event is created after the status it belongs to has been written, so the one that a kill hits is lost rather than
repeated; the callback that a kill hits is sent again rather than lost.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import Any

import pytest
from estimatesync_cluster.fault_proxy import DropConnection, Fault, ProxiedRequest

IS_FULL = os.environ.get("ESTIMATESYNC_KILL_MATRIX") == "full"
WORLDS = 3
GRACE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One course that a sync can take.

    Attributes:
        name: what the sync does.
        spec: the sync's own.
        end: what is promised of it; None when it is removed in the end.
        first: the first kind of step that is worth a kill; those before it belong to another scenario.
        page_seconds: how slow the source is.
        optional: steps that are made or not, as it happens.
    """

    name: str
    spec: dict[str, Any]
    end: dict[str, Any] | None
    first: str
    page_seconds: float = 0.0
    optional: frozenset[str]

    @property
    def is_cancelled(self) -> bool:
        return self.end is not None and self.end.get("phase") == "Cancelled"


STORIES = (
    # Progress is written more or less often, as the sync is slower or faster.
    Scenario(
        name="succeeds",
        spec={},
        end={},
        first="PUT leases",
        optional=frozenset({"PUT status Running Running"}),
    ),
    # The pod may have ended before the operator checks again.
    Scenario(
        name="is-cancelled",
        spec={"pageSize": 1, "concurrency": 1},
        end={"phase": "Cancelled", "jobs": 0, "pods": 0, "rows": 0, "new": 0},
        first="DELETE jobs",
        page_seconds=0.5,
        optional=frozenset({"PUT status Running Stopping"}),
    ),
    # The garbage collector may be faster than the operator.
    Scenario(
        name="expires",
        # It fails by its deadline: one that has succeeded would stay.
        spec={"ttlSecondsAfterFinished": 0, "timeoutSeconds": 1, "pageSize": 1, "concurrency": 1},
        end=None,
        first="DELETE estimatesyncs",
        page_seconds=0.5,
        optional=frozenset({"DELETE jobs"}),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Point:
    """Where a kill is aimed at: one occurrence of one kind of step, and which side of it."""

    scenario: Scenario
    step: str
    occurrence: int
    moment: str

    @property
    def name(self) -> str:
        return f"{self.scenario.name}: {self.moment} {self.step} ({self.occurrence})"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one point."""

    point: Point
    was_struck: bool
    faults: list[str]


class KillOnce(Fault):
    """Kills the operator at one point, and counts the steps it makes until then; without a point, all of them."""

    def __init__(self, point: Point | None, kill: Callable[[], None]) -> None:
        self.steps: list[str] = []
        self.struck = Event()
        self._point = point
        self.target: ProxiedRequest | None = None
        self._kill = kill
        self._lock = Lock()

    def before(self, request: ProxiedRequest) -> None:
        if request.is_step and not is_renewal(request):
            with self._lock:
                self.steps.append(step := format_step(request))
                if self._point and (step, self.steps.count(step)) == (self._point.step, self._point.occurrence):
                    self.target = request
        self._strike("before", request)

    def after(self, request: ProxiedRequest) -> None:
        self._strike("after", request)

    def _strike(self, moment: str, request: ProxiedRequest) -> None:
        if self._point and request is self.target and moment == self._point.moment:
            self._kill()
            self.struck.set()
            raise DropConnection


@pytest.mark.parametrize("scenario", [pytest.param(scenario, id=scenario.name) for scenario in STORIES])
def test_the_operators_death_at_any_step_loses_and_doubles_nothing(
    open_world: Any, promise: Any, scenario: Scenario, capsys: Any
) -> None:
    with ExitStack() as stack:
        trials = [Trial(stack.enter_context(open_world()), scenario, promise) for _ in range(WORLDS)]

        points = list_points(scenario, trials[0].list_steps())
        outcomes = try_all(trials, points)
        late = [fault for trial in trials for fault in trial.find_late_faults()]

    failed = [outcome for outcome in outcomes if outcome.faults]
    missed = [outcome for outcome in outcomes if not outcome.was_struck and outcome.point.step not in scenario.optional]
    with capsys.disabled():
        struck = sum(outcome.was_struck for outcome in outcomes)
        print(f"\nkill matrix, a sync that {scenario.name}: {struck} points tried, {len(failed)} failed")  # noqa: T201
    assert failed == []
    assert missed == []
    assert late == []


class Trial:
    """One world in which the scenario happens again and again, each time with the kill at another point."""

    def __init__(self, world: Any, scenario: Scenario, promise: Any) -> None:
        self._world = world
        self._scenario = scenario
        self._promise = promise
        self._names: list[str] = []
        world.start_operator()
        world.slow_down(scenario.page_seconds)

    def list_steps(self) -> list[str]:
        """Run the scenario once without a kill, and return its steps in order."""
        kill = KillOnce(None, self._world.kill_operators)
        self._begin(kill)
        self._world.wait_until("the last step", lambda: not self._find_faults(hits=0))
        return kill.steps[kill.steps.index(self._scenario.first) :]

    def try_point(self, point: Point) -> Outcome:
        kill = KillOnce(point, self._world.kill_operators)
        self._begin(kill)
        what = f"the kill or the end: {point.name}"
        self._world.wait_until(what, lambda: kill.struck.is_set() or self._went_by(kill))
        self._world.proxy.fault = Fault()
        if kill.struck.is_set():
            self._world.launch_operator()
        return Outcome(point=point, was_struck=kill.struck.is_set(), faults=self._list_lasting_faults())

    def find_late_faults(self) -> Iterator[str]:
        """What the operator did to a sync after it had been found right, and what keeps it from being deleted."""
        for name in self._names:
            if len(self._world.list_creations(name)) != 1 or len(self._world.list_deliveries(name)) > 2:
                yield f"{name}: a late job or callback"
            if not self._world.delete_sync(name):
                yield f"{name}: cannot be deleted at once"

    def _begin(self, kill: KillOnce) -> None:
        self._world.forget()
        self._world.proxy.fault = kill
        self._names.append(f"sync-{len(self._names)}")
        self._world.create_sync(self._names[-1], **self._scenario.spec)
        if self._scenario.is_cancelled:
            self._world.wait_until("a running sync", lambda: self._read_status().get("reason") == "Running")
            self._world.patch_sync(self._names[-1], {"spec": {"cancel": True}})

    def _read_status(self) -> dict[str, Any]:
        return dict(self._world.read_status(self._names[-1]))

    def _list_lasting_faults(self) -> list[str]:
        """What is still wrong some time after the end: events follow their status, and garbage is collected in time."""
        try:
            self._world.wait_until("the end", self._is_over)
            self._world.wait_until("the promise", lambda: not self._find_faults(hits=1), seconds=GRACE_SECONDS)
        except AssertionError as error:
            return [*self._find_faults(hits=1), str(error)]
        return []

    def _went_by(self, kill: KillOnce) -> bool:
        """Whether the sync is over and the point was not met; the effect of a step is seen before its kill is."""
        return not self._find_faults(hits=0) and kill.target is None

    def _is_over(self) -> bool:
        name = self._names[-1]
        return not self._world.read_sync(name) if self._scenario.end is None else bool(self._world.is_over(name))

    def _find_faults(self, *, hits: int) -> list[str]:
        name = self._names[-1]
        if self._scenario.end is None:
            return [*self._find_leftovers(name, hits)]
        return list(self._world.find_faults(name, self._promise(may_lose=hits, may_repeat=hits, **self._scenario.end)))

    def _find_leftovers(self, name: str, hits: int) -> Iterator[str]:
        if self._world.read_sync(name) or self._world.list_jobs(name):
            yield "something is left"
        if len(self._world.list_creations(name)) != 1:
            yield "not one job was created"
        if not 1 <= len(self._world.list_deliveries(name)) <= 1 + hits:
            yield f"the callback arrived {len(self._world.list_deliveries(name))} times"


def list_points(scenario: Scenario, steps: list[str]) -> Iterator[Point]:
    """Every step and both sides of it; in a hurry, each kind of step once and the side that leaves more undone."""
    seen: Counter[str] = Counter()
    for step in steps:
        seen[step] += 1
        for moment in ("before", "after"):
            if IS_FULL or (seen[step] == 1 and moment == "after"):
                yield Point(scenario=scenario, step=step, occurrence=seen[step], moment=moment)


def try_all(trials: list[Trial], points: Iterator[Point]) -> list[Outcome]:
    """Share the points out among the worlds, whichever is free next."""
    waiting: SimpleQueue[Point] = SimpleQueue()
    for point in points:
        waiting.put(point)
    with ThreadPoolExecutor(len(trials)) as pool:
        parts = pool.map(lambda trial: list(try_waiting(trial, waiting)), trials)
        return [outcome for part in parts for outcome in part]


def try_waiting(trial: Trial, waiting: SimpleQueue[Point]) -> Iterator[Outcome]:
    while True:
        try:
            point = waiting.get_nowait()
        except Empty:
            return
        yield trial.try_point(point)


def is_renewal(step: ProxiedRequest) -> bool:
    """Whether it is a write of the Lease that gives no slot: they come by the clock."""
    return "/leases" in step.path and "annotations" not in json.loads(step.body)["metadata"]


def format_step(step: ProxiedRequest) -> str:
    """Name the kind of a step, the same in each run."""
    if step.is_callback:
        return "callback"
    body: dict[str, Any] = json.loads(step.body or b"{}")
    status = body.get("status", {})
    words = [status.get("phase"), status.get("reason"), status.get("callback", {}).get("state"), body.get("reason")]
    kinds = [part for part in step.path.split("/") if part in {"estimatesyncs", "status", "jobs", "events", "leases"}]
    return " ".join([step.method, kinds[-1], *filter(None, words)])

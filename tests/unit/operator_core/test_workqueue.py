import asyncio
import logging
import selectors
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from estimatesync_operator.core.plan import Result
from estimatesync_operator.ports import BackendUnavailableError, StaleSyncError
from estimatesync_operator.workqueue import WorkQueue, next_retry_delay


class JumpingSelector(selectors.DefaultSelector):
    """Skips the time in which the loop would only wait."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is not None:
            self.skipped += max(timeout, 0)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """A real event loop whose clock runs ahead, so that pauses of half a minute cost nothing."""

    def __init__(self) -> None:
        self._jumps = JumpingSelector()
        super().__init__(self._jumps)

    def time(self) -> float:
        return super().time() + self._jumps.skipped


class Visitor:
    """A reconciler by hand: answers from a script, remembers when it was called, can be held up."""

    def __init__(self) -> None:
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.script: dict[str, list[Result | Exception]] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()
        self.active: defaultdict[str, int] = defaultdict(int)
        self.most_active: defaultdict[str, int] = defaultdict(int)

    async def __call__(self, name: str) -> Result:
        self.times[name].append(asyncio.get_running_loop().time())
        self.active[name] += 1
        self.most_active[name] = max(self.most_active[name], self.active[name])
        self.entered.set()
        try:
            await self.gate.wait()
        finally:
            self.active[name] -= 1
        answer = self.script[name].pop(0) if self.script.get(name) else Result()
        if isinstance(answer, Exception):
            raise answer
        return answer


def _run(scenario: Callable[[Visitor, WorkQueue], Awaitable[None]]) -> Visitor:
    """Run a scenario with a queue in a loop of its own, and end the queue after it."""

    async def main() -> Visitor:
        visitor = Visitor()
        queue = WorkQueue(visitor)
        service = asyncio.create_task(queue.run())
        async with asyncio.timeout(10):
            await scenario(visitor, queue)
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
        return visitor

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main())


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the conditions are about plain state, which sets no event
        await asyncio.sleep(0.001)


async def _rest(queue: WorkQueue, visitor: Visitor) -> None:
    """Wait until nothing is under way, by passing a marker through the queue behind everything else."""
    await _until(lambda: not any(visitor.active.values()))
    queue.add("marker")
    await _until(lambda: bool(visitor.times["marker"]) and not any(visitor.active.values()))


def test_many_triggers_during_a_visit_cause_exactly_one_more_never_two_at_once() -> None:
    async def scenario(visitor: Visitor, queue: WorkQueue) -> None:
        visitor.gate.clear()
        queue.add("a")
        await visitor.entered.wait()
        for _ in range(5):
            queue.add("a")
        visitor.gate.set()
        await _until(lambda: len(visitor.times["a"]) == 2)
        await _rest(queue, visitor)

    visitor = _run(scenario)

    assert len(visitor.times["a"]) == 2
    assert visitor.most_active["a"] == 1


def test_a_slow_visit_holds_up_no_other_sync() -> None:
    async def scenario(visitor: Visitor, queue: WorkQueue) -> None:
        visitor.gate.clear()
        queue.add("slow")
        queue.add("other")
        await _until(lambda: visitor.active == {"slow": 1, "other": 1})

    assert set(_run(scenario).times) == {"slow", "other"}


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(BackendUnavailableError("the API server is down"), id="the world is away"),
        pytest.param(StaleSyncError("a"), id="the sync keeps moving"),
        pytest.param(KeyError("defect"), id="a defect"),
    ],
)
def test_a_failed_visit_is_repeated_with_growing_pauses(error: Exception) -> None:
    async def scenario(visitor: Visitor, queue: WorkQueue) -> None:
        visitor.script["a"] = [error, error]
        queue.add("a")
        await _until(lambda: len(visitor.times["a"]) == 3)

    first, second, third = _run(scenario).times["a"]

    assert 0.19 <= second - first <= 0.3
    assert 0.39 <= third - second <= 0.5


def test_a_success_lets_the_pauses_begin_anew() -> None:
    async def scenario(visitor: Visitor, queue: WorkQueue) -> None:
        down = BackendUnavailableError("down")
        visitor.script["a"] = [down, down, Result(requeue_after=timedelta(0)), down]
        queue.add("a")
        await _until(lambda: len(visitor.times["a"]) == 5)

    times = _run(scenario).times["a"]

    assert 0.19 <= times[4] - times[3] <= 0.3


def test_a_defect_is_logged_with_the_sync_it_hit(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(visitor: Visitor, queue: WorkQueue) -> None:
        visitor.script["a"] = [KeyError("defect")]
        queue.add("a")
        await _until(lambda: len(visitor.times["a"]) == 2)

    _run(scenario)

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.__dict__["sync_id"] == "a"
    assert record.exc_info is not None


def test_a_visit_wakes_others_and_itself_only_by_its_own_time() -> None:
    async def scenario(visitor: Visitor, queue: WorkQueue) -> None:
        visitor.script["a"] = [Result(requeue=("a", "b", "c"))]
        queue.add("a")
        await _until(lambda: bool(visitor.times["b"] and visitor.times["c"]))
        await _rest(queue, visitor)

    assert len(_run(scenario).times["a"]) == 1


def test_of_two_planned_visits_only_the_earlier_one_comes() -> None:
    async def scenario(visitor: Visitor, queue: WorkQueue) -> None:
        queue.add_after("a", timedelta(milliseconds=60))
        queue.add_after("a", timedelta(milliseconds=20))
        queue.add_after("a", timedelta(milliseconds=40))
        queue.add_after("end", timedelta(milliseconds=80))
        await _until(lambda: bool(visitor.times["end"]))

    times = _run(scenario).times

    assert len(times["a"]) == 1
    assert times["end"][0] - times["a"][0] >= 0.05


def test_a_trigger_makes_a_planned_visit_needless() -> None:
    async def scenario(visitor: Visitor, queue: WorkQueue) -> None:
        queue.add_after("a", timedelta(milliseconds=20))
        queue.add("a")
        queue.add_after("end", timedelta(milliseconds=40))
        await _until(lambda: bool(visitor.times["end"]))

    assert len(_run(scenario).times["a"]) == 1


def test_closing_ends_visits_and_plans_and_takes_no_more() -> None:
    async def scenario(visitor: Visitor, queue: WorkQueue) -> None:
        service = asyncio.create_task(queue.run())
        visitor.gate.clear()
        queue.add("a")
        await visitor.entered.wait()
        queue.add("a")
        queue.add_after("planned", timedelta(milliseconds=1))
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
        assert visitor.active["a"] == 0

        queue.add("late")
        queue.add_after("later", timedelta(0))
        other = WorkQueue(visitor)
        other.add_after("end", timedelta(milliseconds=5))
        visitor.gate.set()
        await _until(lambda: bool(visitor.times["end"]))

    assert set(_run(scenario).times) == {"a", "end"}


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [
        pytest.param(1, 0.2, id="first"),
        pytest.param(2, 0.4, id="second"),
        pytest.param(8, 25.6, id="eighth"),
        pytest.param(9, 30, id="bounded"),
        pytest.param(100_000, 30, id="after a night"),
    ],
)
def test_pauses_double_up_to_half_a_minute(failures: int, seconds: float) -> None:
    assert next_retry_delay(failures) == timedelta(seconds=seconds)

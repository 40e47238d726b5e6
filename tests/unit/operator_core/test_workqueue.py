import asyncio
import logging
import selectors
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from estimatesync_operator.core.plan import Result
from estimatesync_operator.core.ports import BackendUnavailableError, StaleSyncError
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


class ScriptedReconciler:
    """A reconciler by hand: answers from a script, remembers when it was called, can be held up."""

    def __init__(self) -> None:
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.script: dict[str, list[Result | Exception]] = {}
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.entered = asyncio.Event()
        self.active: defaultdict[str, int] = defaultdict(int)
        self.max_active: defaultdict[str, int] = defaultdict(int)

    async def __call__(self, name: str) -> Result:
        self.times[name].append(asyncio.get_running_loop().time())
        self.active[name] += 1
        self.max_active[name] = max(self.max_active[name], self.active[name])
        self.entered.set()
        try:
            await self.may_go_on.wait()
        finally:
            self.active[name] -= 1
        answer = self.script[name].pop(0) if self.script.get(name) else Result()
        if isinstance(answer, Exception):
            raise answer
        return answer


def _run(scenario: Callable[[ScriptedReconciler, WorkQueue], Awaitable[None]]) -> ScriptedReconciler:
    """Run a scenario with a queue in a loop of its own, and end the queue after it."""

    async def main() -> ScriptedReconciler:
        reconciler = ScriptedReconciler()
        queue = WorkQueue(reconciler)
        service = asyncio.create_task(queue.run())
        async with asyncio.timeout(10):
            await scenario(reconciler, queue)
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
        return reconciler

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main())


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the conditions are about plain state, which sets no event
        await asyncio.sleep(0.001)


async def _wait_until_idle(queue: WorkQueue, reconciler: ScriptedReconciler) -> None:
    """Wait until nothing is under way, by passing a marker through the queue behind everything else."""
    await _until(lambda: not any(reconciler.active.values()))
    queue.add("marker")
    await _until(lambda: bool(reconciler.times["marker"]) and not any(reconciler.active.values()))


def test_many_triggers_during_a_reconcile_cause_exactly_one_more_never_two_at_once() -> None:
    async def scenario(reconciler: ScriptedReconciler, queue: WorkQueue) -> None:
        reconciler.may_go_on.clear()
        queue.add("a")
        await reconciler.entered.wait()
        for _ in range(5):
            queue.add("a")
        reconciler.may_go_on.set()
        await _until(lambda: len(reconciler.times["a"]) == 2)
        await _wait_until_idle(queue, reconciler)

    reconciler = _run(scenario)

    assert len(reconciler.times["a"]) == 2
    assert reconciler.max_active["a"] == 1


def test_a_slow_reconcile_does_not_delay_other_syncs() -> None:
    async def scenario(reconciler: ScriptedReconciler, queue: WorkQueue) -> None:
        reconciler.may_go_on.clear()
        queue.add("slow")
        queue.add("other")
        await _until(lambda: reconciler.active == {"slow": 1, "other": 1})

    assert set(_run(scenario).times) == {"slow", "other"}


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(BackendUnavailableError("the API server is down"), id="the world is away"),
        pytest.param(StaleSyncError("a"), id="the sync keeps moving"),
        pytest.param(KeyError("defect"), id="a defect"),
    ],
)
def test_a_failed_reconcile_is_retried_with_growing_delays(error: Exception) -> None:
    async def scenario(reconciler: ScriptedReconciler, queue: WorkQueue) -> None:
        reconciler.script["a"] = [error, error]
        queue.add("a")
        await _until(lambda: len(reconciler.times["a"]) == 3)

    first, second, third = _run(scenario).times["a"]

    assert 0.19 <= second - first <= 0.3
    assert 0.39 <= third - second <= 0.5


def test_a_success_resets_the_retry_delay() -> None:
    async def scenario(reconciler: ScriptedReconciler, queue: WorkQueue) -> None:
        down = BackendUnavailableError("down")
        reconciler.script["a"] = [down, down, Result(requeue_after=timedelta(0)), down]
        queue.add("a")
        await _until(lambda: len(reconciler.times["a"]) == 5)

    times = _run(scenario).times["a"]

    assert 0.19 <= times[4] - times[3] <= 0.3


def test_a_defect_is_logged_with_the_sync_it_hit(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(reconciler: ScriptedReconciler, queue: WorkQueue) -> None:
        reconciler.script["a"] = [KeyError("defect")]
        queue.add("a")
        await _until(lambda: len(reconciler.times["a"]) == 2)

    _run(scenario)

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.__dict__["sync_id"] == "a"
    assert record.exc_info is not None


def test_a_reconcile_requeues_other_syncs_and_itself_only_after_its_own_delay() -> None:
    async def scenario(reconciler: ScriptedReconciler, queue: WorkQueue) -> None:
        reconciler.script["a"] = [Result(requeue=("a", "b", "c"))]
        queue.add("a")
        await _until(lambda: bool(reconciler.times["b"] and reconciler.times["c"]))
        await _wait_until_idle(queue, reconciler)

    assert len(_run(scenario).times["a"]) == 1


def test_of_several_scheduled_reconciles_only_the_earliest_runs() -> None:
    async def scenario(reconciler: ScriptedReconciler, queue: WorkQueue) -> None:
        queue.add_after("a", timedelta(milliseconds=60))
        queue.add_after("a", timedelta(milliseconds=20))
        queue.add_after("a", timedelta(milliseconds=40))
        queue.add_after("end", timedelta(milliseconds=80))
        await _until(lambda: bool(reconciler.times["end"]))

    times = _run(scenario).times

    assert len(times["a"]) == 1
    assert times["end"][0] - times["a"][0] >= 0.05


def test_a_trigger_replaces_a_scheduled_reconcile() -> None:
    async def scenario(reconciler: ScriptedReconciler, queue: WorkQueue) -> None:
        queue.add_after("a", timedelta(milliseconds=20))
        queue.add("a")
        queue.add_after("end", timedelta(milliseconds=40))
        await _until(lambda: bool(reconciler.times["end"]))

    assert len(_run(scenario).times["a"]) == 1


def test_closing_cancels_running_and_scheduled_reconciles_and_accepts_no_more() -> None:
    async def scenario(reconciler: ScriptedReconciler, queue: WorkQueue) -> None:
        service = asyncio.create_task(queue.run())
        reconciler.may_go_on.clear()
        queue.add("a")
        await reconciler.entered.wait()
        queue.add("a")
        queue.add_after("planned", timedelta(milliseconds=1))
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
        assert reconciler.active["a"] == 0

        queue.add("late")
        queue.add_after("later", timedelta(0))
        other = WorkQueue(reconciler)
        other.add_after("end", timedelta(milliseconds=5))
        reconciler.may_go_on.set()
        await _until(lambda: bool(reconciler.times["end"]))

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


def test_draining_lets_a_pass_end_and_begins_no_other() -> None:
    asyncio.run(drain())


async def drain() -> None:
    passes, may_end = list[str](), asyncio.Event()

    async def reconcile(name: str) -> Result:
        passes.append(name)
        await may_end.wait()
        passes.append(f"{name} ended")
        return Result(requeue_after=timedelta(0))

    queue = WorkQueue(reconcile)
    queue.add("sync")
    await asyncio.sleep(0)
    draining = asyncio.create_task(queue.drain(60))
    await asyncio.sleep(0)
    queue.add("other")
    may_end.set()
    await draining

    assert passes == ["sync", "sync ended"]

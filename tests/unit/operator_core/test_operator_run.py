"""How the operator goes on after what may pass by itself, in simulated time."""

import asyncio
from collections.abc import Iterator

import pytest
from estimatesync_operator.core.ports import BackendUnavailableError, NotServedError
from estimatesync_operator.main import Shell, run_patiently
from estimatesync_simulator.loop import SimulatedLoop

MONTH = 30 * 86_400.0


class Tries:
    """What each try does: how long it takes, and how it ends; one after the last goes on for ever."""

    def __init__(self, *tries: tuple[float, Exception]) -> None:
        self.left = list(tries)

    async def run(self) -> None:
        if not self.left:
            await asyncio.Event().wait()
        seconds, error = self.left.pop(0)
        await asyncio.sleep(seconds)
        raise error


@pytest.fixture
def loop() -> Iterator[SimulatedLoop]:
    loop = SimulatedLoop()
    yield loop
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until(lambda: False, deadline=loop.time() + 1)
    loop.close()


def run(loop: SimulatedLoop, tries: Tries) -> "asyncio.Task[None]":
    task = loop.create_task(run_patiently(tries.run))
    loop.run_until(task.done, deadline=10 * MONTH)
    return task


def test_a_second_complaint_in_a_row_is_believed(loop: SimulatedLoop) -> None:
    task = run(loop, Tries((1, NotServedError("no right")), (1, NotServedError("still none"))))

    with pytest.raises(NotServedError, match="still none"):
        task.result()


def test_a_complaint_months_after_another_is_a_first_one(loop: SimulatedLoop) -> None:
    tries = Tries((1, NotServedError("no right")), (MONTH, NotServedError("no right")), (1, BackendUnavailableError()))

    task = run(loop, tries)

    assert tries.left == []
    assert not task.done()


def test_it_says_what_it_does_at_each_moment() -> None:
    shell, is_leading = Shell(), False
    shell.is_leading = lambda: is_leading
    states = [shell.state]

    shell.stand_by("shop/a")
    states.append(shell.state)
    is_leading = True
    shell.begin()
    states.append(shell.state)
    is_leading = False
    states.append(shell.state)

    assert states == ["waits for the API server", "stands by: shop/a leads", "leads", "waits for the API server"]

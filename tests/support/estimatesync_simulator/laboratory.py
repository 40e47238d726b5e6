"""The simulated API server as a laboratory for the table of exchanges, in simulated time."""

import asyncio
from collections.abc import Awaitable, Callable

from estimatesync_contract.names import PLURAL

from estimatesync_simulator.api_server import ApiServer, Change, Request
from estimatesync_simulator.cluster import Cluster
from estimatesync_simulator.connection import connect
from estimatesync_simulator.exchanges import Act, Laboratory
from estimatesync_simulator.loop import SimulatedLoop
from estimatesync_simulator.operator_process import compute_now

_DEADLINE_SECONDS = 600.0


def run_simulated(happen: Callable[[Laboratory], Awaitable[object]]) -> object:
    """Run one exchange on a server of its own, and answer what it came to.

    Raises:
        asyncio.InvalidStateError: It did not come to an end.
    """
    loop, outcomes = SimulatedLoop(), list[object]()

    async def run() -> None:
        outcomes.append(await happen(_build_laboratory(loop)))

    try:
        task = loop.create_task(run())
        loop.run_until(task.done, deadline=_DEADLINE_SECONDS)
        task.result()
    finally:
        loop.close()
    return outcomes[0]


def _build_laboratory(loop: SimulatedLoop) -> Laboratory:
    changes: list[Change] = []

    def see(change: Change) -> None:
        changes.append(change)
        cluster.see(change)

    server = ApiServer(compute_now, see)
    cluster = Cluster(server, now=compute_now, spawn=loop.create_task, log=lambda *_: None, find_runs=lambda _: ())

    async def call(request: Request) -> bytes:
        await asyncio.sleep(0)
        return server.answer(request)

    async def record(act: Act) -> list[tuple[str, int]]:
        changes.clear()
        await act()
        return [
            (change.type, int(change.decode()["metadata"]["resourceVersion"]))
            for change in changes
            if change.resource == PLURAL
        ]

    return Laboratory(client=connect(call), namespace="ns", record=record)

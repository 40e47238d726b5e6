"""Events while the API server does not take them, in simulated time."""

import asyncio
from collections.abc import Callable

import pytest
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_operator.adapters.events import KubernetesEvents
from estimatesync_operator.core.ports import EventType, SyncEvent, SystemClock
from estimatesync_simulator.api_server import Request
from estimatesync_simulator.connection import connect
from estimatesync_simulator.loop import SimulatedLoop

PATIENCE_SECONDS = 30.0
EVENT = SyncEvent(type=EventType.NORMAL, reason="Succeeded", message="made up")


def test_passes_that_report_to_a_server_that_hangs_go_on_together(
    make_sync: Callable[..., EstimateSync], caplog: pytest.LogCaptureFixture
) -> None:
    """A callback may come after an event: it must not wait until the events of all other syncs are given up."""

    async def hang(_: Request) -> bytes:
        await asyncio.sleep(10 * PATIENCE_SECONDS)
        return b""

    loop = SimulatedLoop()
    events = KubernetesEvents(connect(hang), "estimates", reporting_instance="me", clock=SystemClock())
    passes = [loop.create_task(events.emit(make_sync(name=f"sync-{number}"), EVENT)) for number in range(40)]

    loop.run_until(lambda: all(each.done() for each in passes), deadline=1000 * PATIENCE_SECONDS)
    seconds = loop.time()
    loop.close()

    assert [each.exception() for each in passes] == [None] * 40
    assert seconds == PATIENCE_SECONDS
    lost = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(lost) == 40
    assert lost[0] == "sync-0: an event was lost: recording an event: it was not done in 30 s"

"""Waiting callers: one poll serves all of them, and none is forgotten."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from estimatesync_api.middleware import Lifespan
from estimatesync_api.waiter import POLLS_PER_READING, ClosingError, SyncWaiter
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import EstimateSyncStatus, Phase
from falcon.asgi import Response
from falcon.testing import create_asgi_req

RUNNING = EstimateSyncStatus(phase=Phase.RUNNING)
ENDED = EstimateSyncStatus(phase=Phase.SUCCEEDED)

MakeSync = Callable[..., EstimateSync]


async def pause(_seconds: float) -> None:
    await asyncio.sleep(0)


async def wait_for_polls(store: Any, count: int) -> None:
    begin = store.polls
    async with asyncio.timeout(10):
        while store.polls < begin + count:  # noqa: ASYNC110 - the store sets no event
            await asyncio.sleep(0)


def test_a_hundred_callers_cost_one_poll_at_a_time_and_two_readings_each(store: Any, make_sync: MakeSync) -> None:
    async def act() -> list[EstimateSync | None]:
        waiter = SyncWaiter(store, pause=pause)
        store.syncs = {name: make_sync(name, RUNNING) for name in map(str, range(100))}
        store.is_sure = True
        waiting = [asyncio.create_task(waiter.wait_until_finished(name)) for name in store.syncs]
        await wait_for_polls(store, 20)
        assert store.readings == 100
        store.syncs = {name: make_sync(name, ENDED) for name in store.syncs}
        return await asyncio.gather(*waiting)

    found = asyncio.run(act())

    assert {sync.name for sync in found if sync} == set(store.syncs)
    assert store.readings == 200


@pytest.mark.parametrize("fault", [None, "unavailable"])
def test_a_finished_sync_is_noticed_even_if_the_index_never_shows_it(
    store: Any, make_sync: MakeSync, unavailable: Exception, fault: str | None
) -> None:
    async def act() -> EstimateSync | None:
        waiter = SyncWaiter(store, pause=pause)
        store.syncs = {"est-1": make_sync("est-1", RUNNING)}
        store.is_blind = True
        store.find_fault = unavailable if fault else None
        waiting = asyncio.create_task(waiter.wait_until_finished("est-1"))
        await wait_for_polls(store, 1)
        store.syncs = {"est-1": make_sync("est-1", ENDED)}
        return await asyncio.wait_for(waiting, 60)

    assert asyncio.run(act()) is not None
    assert POLLS_PER_READING - 1 <= store.polls <= POLLS_PER_READING + 1


def test_the_index_is_not_polled_when_no_caller_waits(store: Any, make_sync: MakeSync) -> None:
    async def act() -> int:
        waiter = SyncWaiter(store, pause=pause)
        store.syncs = {"est-1": make_sync("est-1", RUNNING)}
        store.is_sure = True
        waiting = asyncio.create_task(waiter.wait_until_finished("est-1"))
        await wait_for_polls(store, 1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        for _ in range(10):
            await asyncio.sleep(0)
        before = int(store.polls)
        for _ in range(50):
            await asyncio.sleep(0)
        return int(store.polls) - before

    assert asyncio.run(act()) == 0


def test_a_closing_waiter_ends_every_wait_and_begins_none(store: Any, make_sync: MakeSync) -> None:
    async def act() -> None:
        waiter = SyncWaiter(store, pause=pause)
        store.syncs = {"est-1": make_sync("est-1", RUNNING)}
        store.is_sure = True
        waiting = asyncio.create_task(waiter.wait_until_finished("est-1"))
        await wait_for_polls(store, 1)
        waiter.close_after(0.0)
        for late in (waiting, asyncio.create_task(waiter.wait_until_finished("est-1"))):
            with pytest.raises(ClosingError):
                await asyncio.wait_for(late, 60)

    asyncio.run(act())


def test_responses_close_their_connection_once_the_process_shuts_down(store: Any) -> None:
    async def act() -> list[str | None]:
        waiter, answers = SyncWaiter(store, pause=pause), (Response(), Response())
        around = Lifespan(store, waiter, trusted_proxies=())
        await around.process_response(create_asgi_req(), answers[0], None, True)  # noqa: FBT003 - as Falcon passes it
        waiter.close_after(60.0)
        await around.process_response(create_asgi_req(), answers[1], None, True)  # noqa: FBT003 - as Falcon passes it
        return [answer.get_header("Connection") for answer in answers]

    assert asyncio.run(act()) == [None, "close"]

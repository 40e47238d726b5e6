"""Who leads, in simulated time: every wait of an operator passes at once."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from estimatesync_operator.core.lease import Identity, Lease
from estimatesync_operator.core.ports import BackendUnavailableError, LeaseMovedError, NotServedError
from estimatesync_operator.leadership import LeaseHolder
from estimatesync_simulator.loop import SimulatedLoop
from msgspec import structs

EPOCH = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)


class World:
    """The lease, as an API server keeps it, and operators that want it."""

    def __init__(self) -> None:
        self.loop = SimulatedLoop()
        self.lease: Lease | None = None
        self.version = 0
        self.is_away = False
        self.refused: set[str] = set()
        """Pods that have lost the right to the lease."""
        self.writes: list[tuple[float, str]] = []
        self.log: list[tuple[float, str]] = []

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.loop.time())

    def store(self, lease: Lease) -> Lease:
        self.version += 1
        metadata = structs.replace(lease.metadata, resource_version=str(self.version))
        self.lease = structs.replace(lease, metadata=metadata)
        return self.lease

    def enter(self, pod: str, *, release: str = "shop") -> "Operator":
        return Operator(self, Identity(release=release, pod=pod, process=str(len(self.writes))))

    def run(self, seconds: float) -> None:
        self.loop.run_until(lambda: False, deadline=self.loop.time() + seconds)
        assert not self.loop.failures

    def holders(self) -> list[str]:
        """Who held it, one after the other."""
        holders = [holder.split("_")[0] for _, holder in self.writes]
        return [holder for number, holder in enumerate(holders) if not number or holder != holders[number - 1]]


class Operator:
    """One process, whose connection to the API server can hang."""

    def __init__(self, world: World, me: Identity) -> None:
        self.world = world
        self.pod = me.pod
        self.is_reachable = asyncio.Event()
        self.is_reachable.set()
        self.holder = LeaseHolder(self, me, clock=world, monotonic=world.loop.time, jitter=lambda: 0.0)
        self.is_serving = False
        self.error: BaseException | None = None
        self.task = world.loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self.holder.lead(self._serve)
        except NotServedError as error:
            self.error = error

    async def _serve(self) -> None:
        self.is_serving = True
        try:
            await asyncio.Event().wait()
        finally:
            self.is_serving = False

    async def _meet(self) -> None:
        await asyncio.sleep(0.01)
        await self.is_reachable.wait()
        if self.world.is_away:
            raise BackendUnavailableError("away")
        if self.pod in self.world.refused:
            raise NotServedError("no right to leases")

    async def read(self) -> Lease | None:
        await self._meet()
        return self.world.lease

    async def write(self, lease: Lease) -> Lease:
        await self._meet()
        known = self.world.lease.version if self.world.lease else ""
        if lease.version != known:
            raise LeaseMovedError
        self.world.writes.append((self.world.loop.time(), lease.holder))
        return self.world.store(lease)

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> "asyncio.Task[None]":
        return self.world.loop.create_task(work())


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    for task in asyncio.all_tasks(world.loop):
        task.cancel()
    world.run(10)
    world.loop.close()


def test_one_leads_and_renews_and_the_other_stands_by(world: World) -> None:
    first, second = world.enter("a"), world.enter("b")

    world.run(60)

    assert (first.is_serving, second.is_serving) == (True, False)
    assert world.holders() == ["shop/a"]
    assert 28 <= len(world.writes) <= 31


def test_the_other_follows_at_once_when_the_leader_ends(world: World) -> None:
    first, second = world.enter("a"), world.enter("b")
    world.run(30)

    first.task.cancel()
    world.run(1.1)

    assert (first.is_serving, second.is_serving) == (False, True)
    assert world.holders() == ["shop/a", "", "shop/b"]


def test_the_other_follows_within_the_duration_when_the_leader_is_gone(world: World) -> None:
    first, second = world.enter("a"), world.enter("b")
    world.run(30)
    first.is_reachable.clear()
    last = world.writes[-1][0]

    world.run(9)
    assert not second.is_serving
    world.run(3)

    assert second.is_serving
    assert 10 <= next(at for at, holder in world.writes if holder.startswith("shop/b")) - last <= 12


def test_a_leader_that_was_paused_finds_that_another_one_leads_and_its_slot_is_refused(world: World) -> None:
    first, second = world.enter("a"), world.enter("b")
    world.run(30)
    first.is_reachable.clear()
    world.run(20)
    first.holder.reserve("uid")
    published = first.start(lambda: first.holder.publish("uid"))
    confirmed = first.start(first.holder.confirm)

    first.is_reachable.set()
    world.run(20)

    assert (first.is_serving, second.is_serving) == (False, True)
    assert (published.done(), confirmed.done()) == (False, False)
    assert world.lease
    assert world.lease.starting == set()


def test_a_slot_is_published_at_once_and_for_whoever_leads_next(world: World) -> None:
    first, second = world.enter("a"), world.enter("b")
    world.run(30)
    first.holder.reserve("uid")
    published = first.start(lambda: first.holder.publish("uid"))
    world.run(0.1)
    assert published.done()

    first.task.cancel()
    world.run(5)

    assert second.holder.starting == {"uid"}
    second.holder.settle("uid")
    world.run(5)
    assert world.lease
    assert world.lease.starting == set()


def test_a_slot_that_was_taken_back_and_given_again_is_published_again(world: World) -> None:
    leader = world.enter("a")
    world.run(30)
    leader.holder.reserve("uid")
    world.run(1)
    leader.holder.settle("uid")
    leader.holder.reserve("uid")

    published = leader.start(lambda: leader.holder.publish("uid"))
    world.run(0.005)
    assert not published.done()
    world.run(0.1)

    assert published.done()


def test_while_the_api_server_is_away_the_leader_waits_and_then_goes_on(world: World) -> None:
    leader = world.enter("a")
    world.run(30)
    world.is_away = True
    world.run(10)
    assert leader.is_serving
    assert not leader.holder.is_leading
    confirmed = leader.start(leader.holder.confirm)
    world.run(10)
    assert not confirmed.done()

    world.is_away = False
    world.run(2)

    assert confirmed.done()
    assert leader.is_serving


def test_a_leader_that_may_renew_no_longer_ends_with_what_it_lacks_and_another_one_follows(world: World) -> None:
    first, second = world.enter("a"), world.enter("b")
    world.run(30)
    world.refused.add("a")

    world.run(8)
    assert (first.is_serving, first.holder.is_leading) == (True, False)
    world.run(7)

    assert (first.is_serving, second.is_serving) == (False, True)
    assert str(first.error) == "no right to leases"


def test_a_right_that_lacks_for_a_moment_costs_nothing(world: World) -> None:
    leader = world.enter("a")
    world.run(30)
    world.refused.add("a")
    world.run(8)
    world.refused.clear()

    world.run(5)

    assert (leader.is_serving, leader.holder.is_leading) == (True, True)
    assert world.holders() == ["shop/a"]


def test_a_label_on_the_lease_costs_nothing(world: World) -> None:
    leader = world.enter("a")
    world.run(30)
    assert world.lease
    world.store(structs.replace(world.lease, metadata=structs.replace(world.lease.metadata, labels={"team": "a"})))

    world.run(5)

    assert leader.is_serving
    assert world.lease.metadata.labels == {"team": "a"}
    assert world.holders() == ["shop/a"]


def test_a_lease_that_somebody_deletes_is_made_again(world: World) -> None:
    leader = world.enter("a")
    world.run(30)
    world.lease = None

    world.run(5)

    assert leader.is_serving
    assert world.lease


def test_a_process_that_ended_without_a_word_is_followed_at_once_in_its_own_pod(world: World) -> None:
    first = world.enter("a")
    world.run(30)
    first.is_reachable.clear()

    second = world.enter("a")
    world.run(0.1)

    assert second.is_serving


def test_two_processes_of_one_name_do_not_take_it_from_each_other(world: World) -> None:
    first = world.enter("a")
    world.run(30)
    second = world.enter("a")

    world.run(60)

    assert (first.is_serving, second.is_serving) == (False, True)
    assert world.lease
    assert world.lease.spec.lease_transitions == 1


def test_a_second_release_is_told_who_serves_the_namespace(world: World) -> None:
    leader, second = world.enter("a"), world.enter("c", release="copy")

    world.run(30)

    assert leader.is_serving
    assert str(second.error) == (
        "Release shop serves the EstimateSyncs of this namespace already (pod a): two would run each sync by two"
        " settings. Uninstall one of the two, or give release copy a namespace of its own"
    )


def test_a_second_release_takes_over_from_one_that_is_gone(world: World) -> None:
    leader, second = world.enter("a"), world.enter("c", release="copy")
    leader.is_reachable.clear()

    world.run(30)

    assert second.is_serving

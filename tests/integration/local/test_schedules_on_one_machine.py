"""Schedules of one machine, on a real PostgreSQL: a server that ends at any time neither loses nor doubles one."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import psycopg
import pytest
from estimatesync_api.core.problems import StoreUnavailableError
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_local.adapters.database import migrate
from estimatesync_local.adapters.schedule_table import ScheduleTable
from estimatesync_local.adapters.sync_store import ApiStore, SyncTable
from estimatesync_local.core.schedules import parse_schedules
from estimatesync_local.schedule_loop import ScheduleLoop

T = TypeVar("T")
NIGHT = datetime(2026, 12, 1, 3, tzinfo=UTC)
NIGHTLY = "nightly 0 3 * * * days=7"


class FixedClock:
    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now


class KilledError(Exception):
    """The server ended here."""


class DyingStore(ApiStore):
    """Stores the sync, and that is the last thing that its server does."""

    async def create(self, sync: EstimateSync) -> EstimateSync:
        await super().create(sync)
        raise KilledError


class AwayStore(ApiStore):
    async def create(self, sync: EstimateSync) -> EstimateSync:
        raise StoreUnavailableError(f"the database cannot take {sync.name} now")


@pytest.fixture
def look(database_url: str) -> Callable[..., datetime]:
    """One look at the clock, by a server that has just started."""
    asyncio.run(migrate(database_url))

    def look(now: datetime, schedules: str = NIGHTLY, store: type[ApiStore] = ApiStore) -> datetime:
        async def act(loop: ScheduleLoop) -> datetime:
            return await loop.start_due()

        return use(database_url, act, schedules=schedules, now=now, store=store)

    return look


def use(
    database_url: str,
    act: Callable[[ScheduleLoop], Awaitable[T]],
    *,
    schedules: str,
    now: datetime,
    store: type[ApiStore],
) -> T:
    async def run() -> T:
        syncs, table = SyncTable(database_url), ScheduleTable(database_url)
        loop = ScheduleLoop(
            parse_schedules(schedules),
            zone=ZoneInfo("UTC"),
            store=store(syncs, jobs_directory=Path("unused")),
            table=table,
            clock=FixedClock(now),
        )
        try:
            return await act(loop)
        finally:
            await syncs.close()
            await table.close()

    return asyncio.run(run())


@pytest.fixture
def read_starts(database_url: str) -> Callable[[], list[tuple[str, str]]]:
    """The days of each sync."""

    def read() -> list[tuple[str, str]]:
        query = "SELECT spec -> 'dateRange' ->> 'start', spec -> 'dateRange' ->> 'end' FROM estimatesync_local.sync"
        with psycopg.connect(database_url) as connection:
            return [(str(start), str(end)) for start, end in connection.execute(query).fetchall()]

    return read


def test_each_time_has_one_sync_of_its_days(
    look: Callable[..., datetime], read_starts: Callable[[], list[str]]
) -> None:
    assert look(NIGHT - timedelta(hours=5)) == NIGHT
    assert read_starts() == []

    assert look(NIGHT) == NIGHT + timedelta(days=1)
    look(NIGHT + timedelta(seconds=20))

    assert read_starts() == [("2026-11-24", "2026-12-01")]


def test_a_server_killed_after_the_sync_is_stored_finds_it_again(
    look: Callable[..., datetime], read_starts: Callable[[], list[str]]
) -> None:
    look(NIGHT - timedelta(hours=5))
    with pytest.raises(KilledError):
        look(NIGHT, store=DyingStore)
    assert len(read_starts()) == 1

    # The next one has another day, and the start is still that of the night.
    look(NIGHT + timedelta(minutes=40))

    assert len(read_starts()) == 1


def test_a_server_that_was_away_makes_up_for_the_last_hour_with_the_days_of_that_time(
    look: Callable[..., datetime], read_starts: Callable[[], list[str]]
) -> None:
    midnight = "late 58 23 * * * days=1"
    look(NIGHT - timedelta(hours=5), midnight)

    look(NIGHT.replace(hour=0, minute=30), midnight)
    look(NIGHT + timedelta(days=2), midnight)

    assert read_starts() == [("2026-11-29", "2026-11-30")]


def test_a_database_that_is_away_loses_no_start(
    look: Callable[..., datetime], read_starts: Callable[[], list[str]]
) -> None:
    look(NIGHT - timedelta(hours=5))
    with pytest.raises(StoreUnavailableError):
        look(NIGHT, store=AwayStore)

    look(NIGHT + timedelta(minutes=5))

    assert len(read_starts()) == 1


def test_a_new_schedule_begins_with_its_next_time(
    look: Callable[..., datetime], read_starts: Callable[[], list[str]]
) -> None:
    assert look(NIGHT + timedelta(minutes=5)) == NIGHT + timedelta(days=1)
    # Taken out, and back a day later.
    look(NIGHT + timedelta(minutes=6), "other 0 12 * * *")
    look(NIGHT + timedelta(days=1, minutes=5))

    assert read_starts() == []


def test_schedules_do_not_hold_each_other_up(
    look: Callable[..., datetime], read_starts: Callable[[], list[str]]
) -> None:
    both = f"{NIGHTLY}; again 0 3 * * *"
    look(NIGHT - timedelta(hours=5), both)

    look(NIGHT, both)

    assert sorted(read_starts()) == [("2026-10-17", "2026-12-01"), ("2026-11-24", "2026-12-01")]

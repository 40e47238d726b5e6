"""Starts the syncs of SCHEDULES: one context, for as long as the supervisor runs.

A start is stored under its Idempotency-Key, which is made of the minute that it is for, and recorded afterwards. A
server that ends in between makes it again, and finds it; one that was away at that minute makes up for it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import psycopg
from estimatesync_api.core.problems import ApiError, StoreUnavailableError, SyncExistsError
from estimatesync_api.core.sync_request import build_sync, parse_sync_request
from estimatesync_contract.names import build_keyed_sync_name
from estimatesync_operator.core.ports import Clock, SystemClock

from estimatesync_local.adapters.schedule_table import ScheduleTable
from estimatesync_local.adapters.sync_store import ApiStore, SyncTable
from estimatesync_local.core.schedules import Schedule

_LONGEST_PAUSE: Final = timedelta(seconds=30)
"""The clock may be set, and the machine may sleep."""
_ERROR_PAUSE: Final = timedelta(seconds=2)

logger = logging.getLogger(__name__)


class ScheduleLoop:
    """Keeps the schedules."""

    def __init__(
        self, schedules: Sequence[Schedule], *, zone: ZoneInfo, store: ApiStore, table: ScheduleTable, clock: Clock
    ) -> None:
        """Use store and table, which the caller closes; `zone` decides which day is today."""
        self._schedules = schedules
        self._zone = zone
        self._store = store
        self._table = table
        self._clock = clock

    async def run(self) -> None:
        """Start what is due, until cancelled."""
        while self._schedules:
            try:
                next_time = await self.start_due()
            except (StoreUnavailableError, psycopg.Error, TimeoutError):
                logger.warning("schedules cannot be kept now, because the database cannot answer; they are late")
                await asyncio.sleep(_ERROR_PAUSE.total_seconds())
                continue
            pause = min(next_time - self._clock.now(), _LONGEST_PAUSE)
            await asyncio.sleep(max(pause.total_seconds(), 0))

    async def start_due(self) -> datetime:
        """Start what is due now; return when the next one is due.

        Raises:
            StoreUnavailableError, psycopg.Error, TimeoutError: Something is due still.
        """
        now = self._clock.now()
        handled = await self._table.read([schedule.name for schedule in self._schedules], now)
        for schedule in self._schedules:
            due = schedule.find_due(handled=handled[schedule.name], now=now, zone=self._zone)
            if due is not None:
                await self._start(schedule, due)
                await self._table.record(schedule.name, due)
        return min(next(schedule.iterate_times(now, self._zone)) for schedule in self._schedules)

    async def _start(self, schedule: Schedule, time: datetime) -> None:
        key = schedule.build_key(time)
        name = build_keyed_sync_name(key)
        today = time.astimezone(self._zone).date()
        try:
            caller = f"schedule {schedule.name}"
            request = parse_sync_request(query={}, body=schedule.body, idempotency_key=key, today=today, caller=caller)
            await self._store.create(build_sync(request, name=name))
        except SyncExistsError:
            return
        except ApiError as error:
            logger.error("schedule=%s cannot start: %s", schedule.name, error)  # noqa: TRY400 - the message says it all
            return
        logger.info("schedule=%s stored for %s", schedule.name, time.isoformat(), extra={"sync_id": name})


@asynccontextmanager
async def running_schedules(
    schedules: Sequence[Schedule], *, zone: ZoneInfo, database_url: str
) -> AsyncIterator[tuple[asyncio.Task[None], ...]]:
    """Keep the schedules; the task that it yields, if there are any, ends only by a defect, with the error."""
    if not schedules:
        yield ()
        return
    syncs, table = SyncTable(database_url), ScheduleTable(database_url)
    store = ApiStore(syncs, jobs_directory=Path())
    loop = ScheduleLoop(schedules, zone=zone, store=store, table=table, clock=SystemClock())
    task = asyncio.create_task(loop.run(), name="schedules")
    try:
        yield (task,)
    finally:
        task.cancel()
        await asyncio.wait([task])
        await table.close()
        await syncs.close()

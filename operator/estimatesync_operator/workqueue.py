"""Runs reconcile passes: never two at once for one sync, always one after the latest trigger, again after a failure.

The shells (kopf, one machine) only call `add`; an event that arrives twice, late, or in another order does no harm.
Every sync has its own task, so that one that waits for a slow callback target holds up no other. Every log line that
is written during a pass carries the sync's id.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta
from enum import StrEnum
from time import monotonic
from typing import Final

from estimatesync_operator.core.plan import Result
from estimatesync_operator.core.ports import BackendUnavailableError, StaleSyncError

_FIRST_DELAY: Final = timedelta(milliseconds=200)
_LONGEST_DELAY: Final = timedelta(seconds=30)

current_sync: ContextVar[str | None] = ContextVar("current_sync", default=None)
"""The sync that the running task reconciles, for the log lines that are written meanwhile."""

logger = logging.getLogger(__name__)


def next_retry_delay(failures: int) -> timedelta:
    """Double from 0.2 s to 30 s; `failures` counts from 1."""
    doublings: int = 2 ** min(failures - 1, 16)
    return min(_FIRST_DELAY * doublings, _LONGEST_DELAY)


class PassOutcome(StrEnum):
    """How one pass ended."""

    DONE = "done"
    STALE = "stale"
    UNAVAILABLE = "unavailable"
    DEFECT = "defect"


RecordPass = Callable[[PassOutcome, float], None]
"""Counts a pass and its seconds."""


def _count_nothing(outcome: PassOutcome, seconds: float) -> None: ...


class WorkQueue:
    """The names of the syncs to reconcile. Use it from one event loop only."""

    def __init__(
        self, reconcile: Callable[[str], Awaitable[Result]], *, record_pass: RecordPass = _count_nothing
    ) -> None:
        """`reconcile` may raise: the pass is then repeated."""
        self._reconcile = reconcile
        self._record_pass = record_pass
        self._running: dict[str, asyncio.Task[None]] = {}
        self._dirty: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._is_closed = False

    def add(self, name: str) -> None:
        """Reconcile this sync now, or once more right after the pass under way."""
        self._cancel_timer(name)
        if self._is_closed:
            return
        if name in self._running:
            self._dirty.add(name)
            return
        task = asyncio.get_running_loop().create_task(self._run_pass(name), name=f"reconcile {name}")
        self._running[name] = task
        task.add_done_callback(lambda _: self._end_pass(name))

    def add_after(self, name: str, delay: timedelta) -> None:
        """Reconcile this sync after a while, unless a pass comes sooner anyway."""
        loop = asyncio.get_running_loop()
        when = loop.time() + delay.total_seconds()
        planned = self._timers.get(name)
        if planned is not None and planned.when() <= when:
            return
        self._cancel_timer(name)
        self._timers[name] = loop.call_at(when, self.add, name)

    async def drain(self, seconds: float) -> None:
        """Begin no pass any more, and let those under way end within this time: what they do would be done again."""
        self._is_closed = True
        if self._running:
            await asyncio.wait(tuple(self._running.values()), timeout=seconds)

    async def run(self) -> None:
        """Run until cancelled, then end every pass: the next start picks up whatever is left undone."""
        try:
            await asyncio.Event().wait()
        finally:
            await self._close()

    async def _close(self) -> None:
        self._is_closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._dirty.clear()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_pass(self, name: str) -> None:
        current_sync.set(name)
        began = monotonic()
        outcome = await self._try_pass(name)
        self._record_pass(outcome, monotonic() - began)

    async def _try_pass(self, name: str) -> PassOutcome:
        try:
            result = await self._reconcile(name)
        except StaleSyncError:
            self._retry(name)
            return PassOutcome.STALE
        except BackendUnavailableError as error:
            logger.warning("cannot reconcile now: %s", error, extra={"sync_id": name})
            self._retry(name)
            return PassOutcome.UNAVAILABLE
        except Exception:  # a defect in one pass must not end the service of all syncs
            logger.exception("reconcile failed", extra={"sync_id": name})
            self._retry(name)
            return PassOutcome.DEFECT
        self._failures.pop(name, None)
        self._requeue(name, result)
        return PassOutcome.DONE

    def _retry(self, name: str) -> None:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        self.add_after(name, next_retry_delay(failures))

    def _requeue(self, name: str, result: Result) -> None:
        for other in result.requeue:
            if other != name:
                self.add(other)
        if result.requeue_after is not None:
            self.add_after(name, result.requeue_after)

    def _end_pass(self, name: str) -> None:
        del self._running[name]
        if name in self._dirty:
            self._dirty.discard(name)
            self.add(name)

    def _cancel_timer(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()


class SyncIdFilter(logging.Filter):
    """Adds `sync_id` to records that have none; lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        sync_id = current_sync.get()
        if sync_id is not None and not hasattr(record, "sync_id"):
            record.sync_id = sync_id
        return True


def install_sync_ids(handlers: list[logging.Handler]) -> None:
    """Put the id on every line of these handlers."""
    for handler in handlers:
        handler.addFilter(SyncIdFilter())

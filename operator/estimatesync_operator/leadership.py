"""Leads while it holds the Lease, and stands by while another operator does.

The package for this in Kubernetes' client never gives a lease back, ends at the first connection that breaks, counts a
lease from the answer instead of from the request, and carries nothing besides: docs/decisions/leader-election.md.

Nothing here keeps two operators from acting at once for a moment, for no process can know that it has been paused.
What must not happen twice rests on versions: a slot on the Lease's, everything else on the sync's and the job's name.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from estimatesync_operator.core.lease import Identity, Lease, LeaseTiming, Standing, Watched
from estimatesync_operator.core.ports import (
    BackendUnavailableError,
    Clock,
    LeaseMovedError,
    NotServedError,
)

_JITTER: Final = 0.2
"""The part by which a wait may be shorter, so that operators that started together do not stay together."""

_RELEASE_SECONDS: Final = 1.0
"""For the last write; what it does not reach lapses by itself."""

_Result = TypeVar("_Result")

logger = logging.getLogger(__name__)


class LeaseStore(Protocol):
    """Keeps the Lease. Raises BackendUnavailableError from a call that cannot be answered now."""

    async def read(self) -> Lease | None:
        """Read it as it is now."""
        ...

    async def write(self, lease: Lease) -> Lease:
        """Replace the version that was read. Raises LeaseMovedError."""
        ...


class LeaseHolder:
    """The reconciler's Leadership on a cluster. Use it from one event loop only."""

    def __init__(
        self,
        leases: LeaseStore,
        me: Identity,
        *,
        clock: Clock,
        monotonic: Callable[[], float],
        jitter: Callable[[], float] = random.random,
        timing: LeaseTiming | None = None,
        on_stand_by: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`monotonic` answers seconds that never go back; `jitter` a number in [0, 1) for each wait.

        `on_stand_by` is told who leads instead.
        """
        self._leases = leases
        self._me = me
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self.timing: LeaseTiming = timing or LeaseTiming()
        self._on_stand_by = on_stand_by
        self._watched = Watched()
        self._valid_until = float("-inf")
        self._starting: set[str] = set()
        self._published: set[str] = set()
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def holder(self) -> str:
        """Who was last seen leading; empty for nobody."""
        return self._watched.lease.holder if self._watched.lease else ""

    @property
    def is_leading(self) -> bool:
        """Return whether no other process may lead now."""
        return self._monotonic() < self._valid_until

    async def lead(self, serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `serve` whenever this process leads, from the beginning each time; give the lease back at the end.

        Raises:
            NotServedError: A person must act first.
            BackendUnavailableError: The API server cannot be asked; call again.
        """
        while True:
            await self._acquire()
            serving = asyncio.create_task(serve(), name="serving")
            renewing = asyncio.create_task(self._renew(), name="renewing")
            try:
                await asyncio.wait({serving, renewing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                is_lost = renewing.done()
                if is_lost:
                    self._valid_until = float("-inf")
                await _end(serving)
                await _end(renewing)
                self._valid_until = float("-inf")
                if not is_lost:
                    await self._release()
            for task in (serving, renewing):
                if not task.cancelled():
                    task.result()
            logger.warning("leading no more; the lease was last seen with %s", self.holder or "nobody")

    # The reconciler's port.

    @property
    def starting(self) -> AbstractSet[str]:
        return self._starting

    async def confirm(self) -> None:
        await self._wait_for(lambda: self.is_leading)

    def reserve(self, uid: str) -> None:
        if uid not in self._starting:
            self._starting.add(uid)
            self._wake.set()

    async def publish(self, uid: str) -> bool:
        await self._wait_for(lambda: uid in self._published or uid not in self._starting)
        return uid in self._published

    def settle(self, uid: str) -> None:
        self._starting.discard(uid)
        self._published.discard(uid)
        self._notify()

    # The lease.

    async def _acquire(self) -> None:
        leader = ""
        while True:
            self._look(await self._ask(self._leases.read()))
            match self._watched.decide(self._me, now=self._monotonic(), timing=self.timing):
                case Standing.TAKE:
                    if await self._take():
                        return
                case Standing.REFUSED:
                    raise NotServedError(self._explain_refusal())
                case Standing.WAIT if leader != self.holder:
                    leader = self.holder
                    logger.info("standing by: %s leads", leader)
                    self._on_stand_by(leader)
            rest = self._watched.compute_rest(now=self._monotonic(), timing=self.timing)
            await asyncio.sleep(max(min(self._shorten(self.timing.poll), rest), 0.0))

    async def _take(self) -> bool:
        lease = self._watched.lease or Lease()
        self._starting = set(lease.starting)
        with suppress(LeaseMovedError):
            await self._write(lease)
            logger.info("leading as %s", self._me)
            return True
        return False

    async def _renew(self) -> None:
        """Return once the lease is another's, or has lapsed because the API server refuses to renew it."""
        pause, is_moved = self.timing.renewal, False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._shorten(pause)):
                    await self._wake.wait()
            try:
                if is_moved and not await self._is_still_ours():
                    return
                is_moved = False
                await self._write(self._watched.lease or Lease())
                pause = self.timing.renewal
            except LeaseMovedError:
                pause, is_moved = 0.0, True
            except (BackendUnavailableError, NotServedError) as error:
                logger.warning("the lease cannot be renewed now: %s", error)
                # A server that is away is away for all; one that refuses may let another operator lead, or none.
                if isinstance(error, NotServedError) and self._has_lapsed():
                    return
                pause = self.timing.poll

    def _has_lapsed(self) -> bool:
        return self._monotonic() >= self._valid_until - self.timing.deadline + self.timing.duration

    async def _is_still_ours(self) -> bool:
        """Read the lease: a renewal whose answer was lost, or a person's label, moves it, too."""
        self._look(await self._ask(self._leases.read()))
        return self.holder == str(self._me)

    async def _write(self, lease: Lease) -> None:
        """Hold it from the moment of the request on: the answer may come late."""
        self._wake.clear()
        starting, began = set(self._starting), self._monotonic()
        fresh = lease.hold(self._me, starting, now=self._clock.now(), timing=self.timing)
        self._look(await self._ask(self._leases.write(fresh)))
        self._valid_until = began + self.timing.deadline
        # What has been settled meanwhile, and is reserved again, needs a write of its own: the next one leaves it out.
        self._published = starting & self._starting
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait_for(self, is_true: Callable[[], bool]) -> None:
        while not is_true():
            await self._changed.wait()

    async def _release(self) -> None:
        if self._watched.lease is None:
            return
        with suppress(LeaseMovedError, BackendUnavailableError, NotServedError, TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                lease = self._watched.lease.release(self._starting, now=self._clock.now())
                self._look(await self._leases.write(lease))

    async def _ask(self, call: Awaitable[_Result]) -> _Result:
        """Wait less than a call may take otherwise: one that hangs must not cost the lease."""
        try:
            async with asyncio.timeout(self.timing.call):
                return await call
        except TimeoutError as error:
            raise BackendUnavailableError(f"the lease: no answer within {self.timing.call:g} s") from error

    def _look(self, lease: Lease | None) -> None:
        self._watched = self._watched.look(lease, now=self._monotonic())

    def _shorten(self, seconds: float) -> float:
        return seconds * (1 - _JITTER * self._jitter())

    def _explain_refusal(self) -> str:
        holder = Identity.parse(self.holder)
        return (
            f"Release {holder.release or self.holder} serves the EstimateSyncs of this namespace already (pod"
            f" {holder.pod or 'unknown'}): two would run each sync by two settings. Uninstall one of the two, or give"
            f" release {self._me.release} a namespace of its own"
        )


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has ended; what it raised is its waiter's to see."""
    task.cancel()
    await asyncio.wait({task})

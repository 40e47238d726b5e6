"""Stores the sync that a request asks for, or finds the one that it means: never lost, never doubled.

A request with an Idempotency-Key meets its first one by name, which the store lets be taken only once. A request
without one may meet a sync that is at work on the same days. In this process such requests take turns; at two processes
they may slip past each other within milliseconds, which only a key rules out.

Joining is the default because Make.com repeats a request that timed out, with no key of its own: the first one is at
work then, and a second would do it all again.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final
from weakref import WeakValueDictionary

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import build_keyed_sync_name, build_sync_name
from estimatesync_contract.spec import DateRange
from estimatesync_tracing.setup import NO_TRACER
from estimatesync_tracing.spans import Tracer, find_origin

from estimatesync_api.idempotency import build_sync, require_same_request
from estimatesync_api.listing import may_be_joined
from estimatesync_api.metrics import ApiMetrics
from estimatesync_api.ports import StoreUnavailableError, SyncExistsError, SyncStore
from estimatesync_api.settings import RepeatedRequests
from estimatesync_api.sync_request import SyncRequest

_logger: Final = logging.getLogger(__name__)


class SyncStarter:
    """One for each server process."""

    def __init__(
        self,
        store: SyncStore,
        metrics: ApiMetrics,
        *,
        token: Callable[[], str],
        repeated_requests: RepeatedRequests,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._token = token
        self._repeated_requests = repeated_requests
        self._tracer = tracer
        self._turns: WeakValueDictionary[DateRange, asyncio.Lock] = WeakValueDictionary()

    def choose_name(self, request: SyncRequest, now: datetime) -> str:
        """Name the sync that will be stored, if one will be."""
        key = request.idempotency_key
        return build_keyed_sync_name(key) if key else build_sync_name(now, self._token())

    async def start(self, request: SyncRequest, name: str) -> EstimateSync:
        """Store a sync under this name, or answer the one that is meant.

        Raises:
            ApiError: The request's Idempotency-Key was used for another one.
            StoreUnavailableError, SyncRefusedError: None is stored, as far as is known.
        """
        if request.idempotency_key:
            return await self._start_or_meet(request, name)
        if self._repeated_requests is RepeatedRequests.START:
            return await self._create(request, name)
        async with self._turns.setdefault(request.date_range, asyncio.Lock()):
            return await self._join(request.date_range) or await self._create(request, name)

    async def _start_or_meet(self, request: SyncRequest, name: str) -> EstimateSync:
        try:
            return await self._create(request, name)
        except SyncExistsError:
            sync = await self._store.fetch(name)
        if sync is None:
            raise StoreUnavailableError("the sync vanished while its request was repeated")
        require_same_request(sync, request)
        self._record_repeated(sync)
        _logger.info("sync=%s asked for again with its Idempotency-Key", name)
        return sync

    async def _create(self, request: SyncRequest, name: str) -> EstimateSync:
        sync = await self._store.create(build_sync(request, name=name, origin=self._tracer.find_current()))
        self._metrics.record_started()
        days = request.date_range
        _logger.info("sync=%s stored, for %s to %s", sync.name, days.start, days.end)
        return sync

    async def _join(self, days: DateRange) -> EstimateSync | None:
        name = await self._find_at_work(days)
        # That may be news of yesterday: an answer rests on what is stored now.
        sync = await self._store.fetch(name) if name else None
        if sync is None or not may_be_joined(sync):
            return None
        self._record_repeated(sync)
        _logger.info("sync=%s is at work on %s to %s already", sync.name, days.start, days.end)
        return sync

    def _record_repeated(self, sync: EstimateSync) -> None:
        """The sync stays in the trace of the request that it was stored for; this one points there."""
        self._metrics.record_repeated()
        if origin := find_origin(sync):
            self._tracer.link(origin)

    async def _find_at_work(self, days: DateRange) -> str | None:
        try:
            return await self._store.find_at_work(days)
        except StoreUnavailableError as error:
            # One sync too many does no harm; one too few would.
            _logger.warning("it is not known whether a sync of %s to %s is at work: %s", days.start, days.end, error)
            return None

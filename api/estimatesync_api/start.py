"""The address where a sync is started: reads the request, stores a sync or finds the one that is meant, and answers.

No request is lost or doubled: a repeated Idempotency-Key finds the first request's sync by its name, which the store
lets be taken only once. A request without a key joins an active sync of the same days, mode, targets and metadata.
Within this process such requests wait for each other; two processes may both miss the other's within milliseconds,
which only a key rules out.

Joining is the default because Make.com repeats a request that timed out, with no key of its own: the first one is
running then, and a second would do it all again.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Final, NoReturn
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import build_keyed_sync_name, build_sync_name, build_sync_path
from estimatesync_contract.status import Phase
from estimatesync_tracing.setup import NO_TRACER
from estimatesync_tracing.spans import Tracer, find_origin
from falcon.asgi import Response
from msgspec import UNSET

from estimatesync_api.adapters.metrics import ApiMetrics
from estimatesync_api.core.listing import Work, find_work
from estimatesync_api.core.ports import SyncStore
from estimatesync_api.core.problems import (
    RETRY_AFTER_SECONDS,
    ApiError,
    Problem,
    StoreUnavailableError,
    SyncExistsError,
)
from estimatesync_api.core.representation import compute_error, to_accepted_body, to_failure_body, to_success_body
from estimatesync_api.core.sync_request import (
    Features,
    SyncRequest,
    build_sync,
    parse_sync_request,
    require_same_request,
    unpack_body,
)
from estimatesync_api.request import Request, Resource
from estimatesync_api.settings import RepeatedRequests
from estimatesync_api.waiter import ClosingError, SyncWaiter

BODY_MAX_BYTES: Final = 64 * 1024
BODY_SECONDS: Final = 30.0
"""For all of a body, however small its pieces are."""

_logger: Final = logging.getLogger(__name__)


async def read_body(req: Request) -> bytes:
    """Read the whole body, unpacked, or none of one that is too large.

    Raises:
        ApiError: Packed in an unknown way, too large, too slow, or cut off: half a request must not start a sync of
            the default days.
    """
    length = req.content_length
    if length is not None and length > BODY_MAX_BYTES:
        raise ApiError(Problem.BODY_TOO_LARGE)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await req.stream.read(BODY_MAX_BYTES + 1)
    except TimeoutError as error:
        raise ApiError(Problem.BODY_TOO_SLOW) from error
    if len(body) > BODY_MAX_BYTES:
        raise ApiError(Problem.BODY_TOO_LARGE)
    if length is not None and len(body) < length:
        raise ApiError(Problem.BODY_INCOMPLETE)
    return unpack_body(body, req.get_header("Content-Encoding") or "", most=BODY_MAX_BYTES)


class SyncStarter:
    """Stores syncs, or finds those that requests mean. One for each server process."""

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
        self._locks_by_work: WeakValueDictionary[Work, asyncio.Lock] = WeakValueDictionary()

    def choose_name(self, request: SyncRequest, now: datetime) -> str:
        """Name the sync that will be stored, if one will be."""
        key = request.idempotency_key
        return build_keyed_sync_name(key) if key else build_sync_name(now, self._token())

    async def start(self, request: SyncRequest, name: str) -> EstimateSync:
        """Store a sync under this name, or find the one that is meant.

        Raises:
            ApiError: The request's Idempotency-Key was used for another one.
            StoreUnavailableError, SyncRefusedError: None is stored, as far as is known.
        """
        if request.idempotency_key:
            return await self._start_or_find_keyed(request, name)
        if self._repeated_requests is RepeatedRequests.START:
            return await self._create(request, name)
        async with self._locks_by_work.setdefault(request.work, asyncio.Lock()):
            return await self._join(request.work) or await self._create(request, name)

    async def find_active(self, work: Work) -> EstimateSync | None:
        """Find the sync that a request for this work would join; None as well where none is ever joined.

        Raises:
            StoreUnavailableError: There may be one, but it cannot be read now.
        """
        if self._repeated_requests is RepeatedRequests.START:
            return None
        name = await self._find_active_name(work)
        # The name may be outdated: an answer rests on what is stored now.
        sync = await self._store.fetch(name) if name else None
        return sync if sync and find_work(sync) == work else None

    async def _start_or_find_keyed(self, request: SyncRequest, name: str) -> EstimateSync:
        """The key has a second name, for while its first sync stays only as the newest that has succeeded.

        The time of such a sync is over, and its key is free; but it may go at any moment, and its name with it. So the
        second name is looked at first.
        """
        next_name = build_keyed_sync_name(request.idempotency_key or "", is_again=True)
        sync = await self._store.fetch(next_name)
        if sync is not None and not sync.status.retained:
            return self._take_repeated(request, sync)
        for free_name in (name, next_name):
            try:
                return await self._create(request, free_name)
            except SyncExistsError:
                sync = await self._store.fetch(free_name)
            if sync is None:
                raise StoreUnavailableError("the sync vanished while its request was repeated")
            if not sync.status.retained:
                return self._take_repeated(request, sync)
        raise StoreUnavailableError("one of two earlier syncs of the Idempotency-Key is about to be removed")

    def _take_repeated(self, request: SyncRequest, sync: EstimateSync) -> EstimateSync:
        require_same_request(sync, request)
        self._record_repeated(sync)
        _logger.info("sync=%s asked for again with its Idempotency-Key", sync.name)
        return sync

    async def _create(self, request: SyncRequest, name: str) -> EstimateSync:
        if request.absences:
            await self._refuse_unless_stored(name, request.absences)
        sync = await self._store.create(build_sync(request, name=name, origin=self._tracer.find_current()))
        self._metrics.record_started()
        days = request.date_range
        _logger.info("sync=%s stored, for %s to %s", sync.name, days.start, days.end)
        return sync

    async def _refuse_unless_stored(self, name: str, absences: tuple[str, ...]) -> NoReturn:
        """Let a repeated request find its sync, though what it names has been removed since."""
        if await self._store.fetch(name) is None:
            raise ApiError(Problem.INVALID_REQUEST, *absences)
        raise SyncExistsError(name)

    async def _join(self, work: Work) -> EstimateSync | None:
        sync = await self.find_active(work)
        if sync is not None:
            self._record_repeated(sync)
            _logger.info("sync=%s is at work on %s to %s already", sync.name, work.days.start, work.days.end)
        return sync

    def _record_repeated(self, sync: EstimateSync) -> None:
        """The sync stays in the trace of the request that it was stored for; this one points there."""
        self._metrics.record_repeated()
        if origin := find_origin(sync):
            self._tracer.link(origin)

    async def _find_active_name(self, work: Work) -> str | None:
        try:
            return await self._store.find_active(work)
        except StoreUnavailableError as error:
            # One sync too many does no harm; one too few would.
            days = work.days
            _logger.warning("it is not known whether a sync of %s to %s is at work: %s", days.start, days.end, error)
            return None


class StartResource(Resource):
    """POST: store a sync, then answer at once or when it has ended."""

    def __init__(
        self,
        store: SyncStore,
        starter: SyncStarter,
        waiter: SyncWaiter,
        *,
        time_zone: ZoneInfo,
        foreground_seconds: int,
        features: Features,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._starter = starter
        self._waiter = waiter
        self._time_zone = time_zone
        self._foreground_seconds = foreground_seconds
        self._features = features
        self._clock = clock

    async def on_post(self, req: Request, resp: Response) -> None:
        now = self._clock()
        request = parse_sync_request(
            query=req.params,
            body=await read_body(req),
            idempotency_key=req.get_header("Idempotency-Key"),
            today=now.astimezone(self._time_zone).date(),
            caller=req.context.key_name or "",
            features=self._features,
        )
        name = self._starter.choose_name(request, now)
        # Known to the log before it is stored: after a timeout, the name is how a person finds out whether it was.
        req.context.sync_id = name
        sync = await self._starter.start(request, name)
        req.context.sync_id = sync.name
        for warning in request.warnings:
            _logger.warning("sync=%s %s", sync.name, warning)
        resp.location = build_sync_path(sync.name)
        if request.is_background:
            resp.status = HTTPStatus.ACCEPTED
            resp.retry_after = RETRY_AFTER_SECONDS
            resp.media = to_accepted_body(
                sync.name,
                now,
                warnings=request.warnings,
                mode=request.mode,
                metadata=request.metadata if self._features.has_metadata else UNSET,
            )
        else:
            await self._answer_outcome(sync.name, resp)

    async def _answer_outcome(self, name: str, resp: Response) -> None:
        sync = await self._wait(name)
        if sync is None:
            resp.status = HTTPStatus.INTERNAL_SERVER_ERROR
            resp.media = to_failure_body(name, "The sync was deleted before it ended.", ())
            return
        log = await self._read_log(sync)
        if sync.status.phase is Phase.SUCCEEDED:
            resp.media = to_success_body(sync, log)
        else:
            resp.status = HTTPStatus.INTERNAL_SERVER_ERROR
            resp.media = to_failure_body(name, compute_error(sync), log)

    async def _wait(self, name: str) -> EstimateSync | None:
        try:
            async with asyncio.timeout(self._foreground_seconds or None):
                return await self._waiter.wait_until_finished(name)
        except TimeoutError as error:
            raise ApiError(Problem.STILL_RUNNING, sync_id=name) from error
        except ClosingError as error:
            raise ApiError(Problem.RESTARTING, sync_id=name) from error
        except asyncio.CancelledError:
            _logger.info("sync=%s its caller left before the end; the sync goes on", name)
            raise

    async def _read_log(self, sync: EstimateSync) -> tuple[str, ...]:
        """The outcome is known: a log that cannot be read must not turn it into an error."""
        try:
            return await self._store.read_log(sync)
        except StoreUnavailableError:
            return ()

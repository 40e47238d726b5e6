"""The addresses for machines: does this process serve, could it store a sync, and how is it doing."""

import asyncio
import math
from collections.abc import Callable
from typing import Final

from falcon.asgi import Response

from estimatesync_api.adapters.metrics import ApiMetrics, choose_media
from estimatesync_api.core.ports import SyncStore
from estimatesync_api.core.problems import ApiError, map_exception
from estimatesync_api.core.representation import HealthBody
from estimatesync_api.request import Access, Request, Resource

VERDICT_SECONDS: Final = 2.0
PAGE_SECONDS: Final = 1.0


class HealthResource(Resource):
    """GET: this process serves. It depends on nothing, or a broken API server would restart every API pod."""

    access = Access.PUBLIC

    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.media = HealthBody(status="ok")


class ReadyResource(Resource):
    """GET: a sync could be stored now.

    Whoever asks, the store is asked by one request at a time, and its verdict is kept for a moment: the question costs
    the API server as much as a sync, and needs no key.
    """

    access = Access.PUBLIC

    def __init__(self, store: SyncStore, *, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._asked_at = -math.inf
        self._fault: ApiError | None = None

    async def on_get(self, _req: Request, resp: Response) -> None:
        async with self._lock:
            if self._monotonic() - self._asked_at >= VERDICT_SECONDS:
                await self._ask()
        if self._fault:
            raise ApiError(self._fault.problem, *self._fault.faults, cause=self._fault.cause)
        resp.media = HealthBody(status="ready")

    async def _ask(self) -> None:
        """Keep the store's verdict. Who leaves before there is one leaves the question to the next."""
        try:
            await self._store.check()
        except Exception as error:
            self._keep(map_exception(error))
            # The error itself goes on to the log, once for each verdict.
            raise
        self._keep(None)

    def _keep(self, fault: ApiError | None) -> None:
        self._fault = fault
        self._asked_at = self._monotonic()


class MetricsResource(Resource):
    """GET: the metrics. None is secret; still, an ingress need not publish them."""

    access = Access.PUBLIC

    def __init__(self, metrics: ApiMetrics, *, refresh: Callable[[], object], monotonic: Callable[[], float]) -> None:
        """`refresh` brings up to date what is otherwise only looked at when a request needs it."""
        self._metrics = metrics
        self._refresh = refresh
        self._monotonic = monotonic
        self._pages: dict[str, tuple[float, bytes, str]] = {}

    async def on_get(self, req: Request, resp: Response) -> None:
        """Send a page that is at most a second old: to write one takes milliseconds, and anyone may ask."""
        media, now = choose_media(req.get_header("Accept") or ""), self._monotonic()
        made_at, _, _ = self._pages.get(media, (-math.inf, b"", ""))
        if now - made_at >= PAGE_SECONDS:
            self._refresh()
            self._pages[media] = (now, *self._metrics.format(media))
        _, resp.data, resp.content_type = self._pages[media]

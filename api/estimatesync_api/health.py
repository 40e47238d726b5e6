"""The addresses for machines: does this process serve, could it store a sync, and how is it doing."""

from collections.abc import Callable

from falcon.asgi import Response

from estimatesync_api.adapters.metrics import ApiMetrics
from estimatesync_api.core.ports import SyncStore
from estimatesync_api.core.representation import HealthBody
from estimatesync_api.request import Access, Request, Resource


class HealthResource(Resource):
    """GET: this process serves. It depends on nothing, or a broken API server would restart every API pod."""

    access = Access.PUBLIC

    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.media = HealthBody(status="ok")


class ReadyResource(Resource):
    """GET: a sync could be stored now."""

    access = Access.PUBLIC

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, _req: Request, resp: Response) -> None:
        await self._store.check()
        resp.media = HealthBody(status="ready")


class MetricsResource(Resource):
    """GET: the metrics. None is secret; still, an ingress need not publish them."""

    access = Access.PUBLIC

    def __init__(self, metrics: ApiMetrics, *, refresh: Callable[[], object]) -> None:
        """`refresh` brings up to date what is otherwise only looked at when a request needs it."""
        self._metrics = metrics
        self._refresh = refresh

    async def on_get(self, req: Request, resp: Response) -> None:
        self._refresh()
        resp.data, resp.content_type = self._metrics.format(req.get_header("Accept") or "")

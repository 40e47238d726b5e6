"""What machines ask: does this process serve, could it store a sync, and how is it doing."""

from falcon.asgi import Request, Response

from estimatesync_api.bodies import HealthBody
from estimatesync_api.metrics import ApiMetrics
from estimatesync_api.ports import SyncStore


class HealthResource:
    """GET: this process serves. Depends on nothing, or a broken API server would restart every API pod."""

    is_public = True

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Say so."""
        resp.media = HealthBody(status="ok")


class ReadyResource:
    """GET: a sync could be stored now."""

    is_public = True

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Ask the store."""
        await self._store.check()
        resp.media = HealthBody(status="ready")


class MetricsResource:
    """GET: what Prometheus wants to know. Nothing in it is secret; still, an ingress need not publish it."""

    is_public = True

    def __init__(self, metrics: ApiMetrics) -> None:
        self._metrics = metrics

    async def on_get(self, req: Request, resp: Response) -> None:
        """Write the numbers."""
        resp.data, resp.content_type = self._metrics.format(req.get_header("Accept") or "")

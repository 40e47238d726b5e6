"""What a kubelet or a load balancer asks: does this process serve, and could it store a sync."""

from falcon.asgi import Request, Response

from estimatesync_api.ports import SyncStore


class HealthResource:
    """GET: this process serves. Depends on nothing, or a broken API server would restart every API pod."""

    is_public = True

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Say so."""
        resp.media = {"status": "ok"}


class ReadyResource:
    """GET: a sync could be stored now."""

    is_public = True

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Ask the store."""
        await self._store.check()
        resp.media = {"status": "ready"}

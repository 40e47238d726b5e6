"""Serves the metrics over HTTP from the operator's own event loop, so that nothing is read while it changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from estimatesync_contract.environment_reader import SettingsError
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


@asynccontextmanager
async def serve_metrics(registry: CollectorRegistry, *, address: str, port: int) -> AsyncIterator[None]:
    """Answer `GET /metrics` for the time of the context; port 0 serves nothing.

    Raises:
        SettingsError: Nobody can listen there.
    """
    if not port:
        yield
        return

    async def answer(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes([web.get("/metrics", answer)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await _listen(runner, address, port)
        yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, address: str, port: int) -> None:
    try:
        await web.TCPSite(runner, address, port).start()
    except OSError as error:
        fault = f"METRICS_PORT names a port that cannot be listened on at {address}: {error.strerror}"
        raise SettingsError([fault]) from error

"""A proxy in front of an API server: it counts, delays, answers or drops each request that is sent through it.

The resilience tests point an operator's kubeconfig at it, and let its callbacks arrive here as well, so that every
trace the operator leaves in the world is one request in one list. Requests go on to the real API server as they are;
what else happens to them is decided by the `fault`, which belongs to the test.
"""

import asyncio
import json
import ssl
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any, Final

import aiohttp
import trustme
from aiohttp import web
from yarl import URL

from estimatesync_cluster.credentials import LOOPBACK

_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_HOP_HEADERS: Final = frozenset({"host", "connection", "transfer-encoding", "content-length"})
_MAX_BODY_BYTES: Final = 16 * 1024 * 1024
_THREADS: Final = 64
"""A fault may wait: each request under way has a thread of its own."""
_START_SECONDS: Final = 10.0


class DropConnection(Exception):  # noqa: N818 - it is an order, not an error
    """Raised by a fault: the connection is closed without an answer."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the client gets."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class ProxiedRequest:
    """One request; `answer` is set once the other side has answered, whether or not the client gets to see that."""

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_callback: bool = False
    answer: Answer | None = None

    @property
    def is_watch(self) -> bool:
        """True for a stream that lasts."""
        return "watch=true" in self.query

    @property
    def is_step(self) -> bool:
        """True when it may change the world: a write, or a callback."""
        return self.method in _WRITES

    @property
    def is_done(self) -> bool:
        """True when the other side has done what was asked."""
        return self.answer is not None and self.answer.status < 300  # noqa: PLR2004 - the first that is not a success


class Fault:
    """Lets everything pass; a test's own overrides one side. Called in threads, several at once."""

    def before(self, proxied: ProxiedRequest) -> Answer | None:
        """Act when a request has arrived: wait, raise DropConnection, or answer in the API server's place."""

    def after(self, proxied: ProxiedRequest) -> None:
        """Act when the other side has answered and the client has not seen it yet: wait, or raise DropConnection."""


class _Watch:
    """A stream from the API server to one client."""

    def __init__(self, stream: web.StreamResponse) -> None:
        self.stream = stream
        self.is_silent = False
        self.ended = asyncio.Event()

    async def pump(self, source: aiohttp.StreamReader) -> None:
        """Send on what comes, as long as the watch is not silenced; a silenced one does not even report its end."""
        with suppress(ConnectionError, aiohttp.ClientError):
            async for chunk in source.iter_any():
                if not self.is_silent:
                    await self.stream.write(chunk)
        if not self.is_silent:
            self.ended.set()

    async def end_with(self, line: bytes) -> None:
        """Send a last line and close, as an API server would."""
        self.is_silent = True
        with suppress(ConnectionError):
            await self.stream.write(line)
        self.ended.set()


class FaultProxy:
    """A proxy that is served.

    Attributes:
        url: address for a kubeconfig.
        authority: PEM certificate that signed the proxy's own.
        webhook_url: where callbacks are taken, and answered with 200.
        requests: every request so far, oldest first.
        fault: may be replaced at any time.
    """

    def __init__(self, server: str, server_authority: bytes) -> None:
        """Forward to `server` (https URL), whose certificate `server_authority` (PEM) signed."""
        own = trustme.CA()
        self.authority = own.cert_pem.bytes()
        self.url = self.webhook_url = ""
        self.requests: list[ProxiedRequest] = []
        self.fault = Fault()
        self._server = server
        self._trust = ssl.create_default_context(cadata=server_authority.decode())
        self._identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.issue_cert(LOOPBACK).configure_cert(self._identity)
        self._watches: set[_Watch] = set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="fault-proxy")

    def count_watches(self) -> int:
        """Count the watches that are open, with their client listening."""
        return len(self._watches)

    def silence_watches(self) -> int:
        """Let nothing more through on the watches that are open now, without closing them; returns how many."""
        watches = tuple(self._watches)
        for watch in watches:
            watch.is_silent = True
        return len(watches)

    def end_watches(self, event: Mapping[str, Any] | None = None) -> int:
        """Close every open watch, after a watch event of the test's own if there is one; returns how many."""
        line = json.dumps(event).encode() + b"\n" if event else b""
        watches = tuple(self._watches)
        for watch in watches:
            asyncio.run_coroutine_threadsafe(watch.end_with(line), self._loop).result(_START_SECONDS)
        return len(watches)

    def serve(self, started: Event) -> None:
        """Serve until `stop`, in a thread of its own."""
        asyncio.run(self._serve(started))
        self._threads.shutdown()

    def stop(self) -> None:
        """Stop serving, also what is under way."""
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def _serve(self, started: Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        connector = aiohttp.TCPConnector(ssl=self._trust, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=timeout) as self._session:
            runners = [_build_runner(self._answer_api), _build_runner(self._answer_webhook)]
            self.url = f"https://{LOOPBACK}:{await _listen(runners[0], self._identity)}"
            self.webhook_url = f"http://{LOOPBACK}:{await _listen(runners[1], None)}"
            started.set()
            await self._stopping.wait()
            for runner in runners:
                await runner.cleanup()

    async def _answer_api(self, request: web.Request) -> web.StreamResponse:
        return await self._pass(request, await _read_request(request, is_callback=False))

    async def _answer_webhook(self, request: web.Request) -> web.StreamResponse:
        return await self._pass(request, await _read_request(request, is_callback=True))

    async def _pass(self, request: web.Request, proxied: ProxiedRequest) -> web.StreamResponse:
        self.requests.append(proxied)
        try:
            answer = await self._apply(self.fault.before, proxied)
            if answer is None and proxied.is_watch:
                return await self._stream(request, proxied)
            proxied.answer = answer or await self._fetch_answer(proxied)
            await self._apply(self.fault.after, proxied)
        except (DropConnection, aiohttp.ClientError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        headers = _keep_end_to_end(proxied.answer.headers)
        return web.Response(status=proxied.answer.status, body=proxied.answer.body, headers=headers)

    async def _apply(self, act: Any, proxied: ProxiedRequest) -> Any:  # noqa: ANN401 - one of Fault's two methods
        return await self._loop.run_in_executor(self._threads, act, proxied)

    async def _fetch_answer(self, proxied: ProxiedRequest) -> Answer:
        if proxied.is_callback:
            return Answer(status=200, body=b"Accepted")
        async with self._send(proxied) as response:
            return Answer(status=response.status, body=await response.read(), headers=dict(response.headers))

    async def _stream(self, request: web.Request, proxied: ProxiedRequest) -> web.StreamResponse:
        async with self._send(proxied) as response:
            stream = web.StreamResponse(status=response.status, headers=_keep_end_to_end(response.headers))
            await stream.prepare(request)
            watch = _Watch(stream)
            self._watches.add(watch)
            pump = asyncio.create_task(watch.pump(response.content))
            try:
                await watch.ended.wait()
            finally:
                pump.cancel()
                self._watches.discard(watch)
        return stream

    def _send(self, proxied: ProxiedRequest) -> Any:  # noqa: ANN401 - aiohttp's context manager has no public name
        query = f"?{proxied.query}" if proxied.query else ""
        url = URL(f"{self._server}{proxied.path}{query}", encoded=True)
        headers = _keep_end_to_end(proxied.headers)
        return self._session.request(proxied.method, url, headers=headers, data=proxied.body or None)


@contextmanager
def running_fault_proxy(server: str, server_authority: bytes) -> Iterator[FaultProxy]:
    """Serve a proxy in a thread until the block ends.

    Raises:
        TimeoutError: It did not come up.
    """
    proxy, started = FaultProxy(server, server_authority), Event()
    thread = Thread(target=proxy.serve, args=(started,), name="fault-proxy")
    thread.start()
    if not started.wait(_START_SECONDS):
        raise TimeoutError("the fault proxy did not come up")
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join()


def _build_runner(answer: Any) -> web.AppRunner:  # noqa: ANN401 - aiohttp's handlers have no public type
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", answer)
    return web.AppRunner(app, shutdown_timeout=0.1, access_log=None)


async def _listen(runner: web.AppRunner, identity: ssl.SSLContext | None) -> int:
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0, ssl_context=identity)
    await site.start()
    port: int = runner.addresses[0][1]
    return port


async def _read_request(request: web.Request, *, is_callback: bool) -> ProxiedRequest:
    return ProxiedRequest(
        method=request.method,
        path=request.rel_url.raw_path,
        query=request.rel_url.raw_query_string,
        headers=dict(request.headers),
        body=await request.read(),
        is_callback=is_callback,
    )


def _keep_end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_HEADERS}

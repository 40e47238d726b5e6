"""gunicorn's asyncio worker, which also bounds connections, and notifies the application when it must end.

ASGI's own notice of shutdown comes only after the last connection has closed, which is too late for callers who wait
for a sync: they would be cut off without an answer. gunicorn waits for ever for the first request of a connection, and
takes any number of connections. Proxies open connections ahead of requests: those are kept as long as idle ones between
requests, and end without a word. `gunicorn_conf.py` names this class.
"""

import asyncio
import re
import resource
from functools import cached_property
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers import gasgi

from estimatesync_api.core.connections import HEAD_SECONDS, IS_PROXY, ConnectionLimiter, compute_bound
from estimatesync_api.waiter import CLOSE_WAITER

ANNOUNCING_SECONDS: Final = 1.0
"""In which each answer says that its connection closes, before any is closed.

gunicorn closes a kept connection after the answer that is under way on SIGTERM, and that answer may have
been written already without saying so: the caller's next request would run into it.
"""

ANSWER_SECONDS: Final = 5.0
"""Left of `graceful_timeout` for the answers themselves."""

_ABSOLUTE_TARGET: Final = re.compile(rb"https?://(?P<host>[^/?#@]+)(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)


class BoundedConnection(ASGIProtocol):  # type: ignore[misc] # gunicorn has no types
    """A connection that has a time to say what it wants, and gives way when its address holds too many."""

    _timer: asyncio.TimerHandle | None = None
    """Ends the wait for the first request: for its first byte, then for the rest of its head."""
    _has_begun = False
    _is_refused = False
    _peer = ""

    @property
    def is_waiting(self) -> bool:
        """No head has arrived that is not answered yet."""
        return self._request_ready is not None and not self._request_ready.is_set()

    def connection_made(self, transport: asyncio.Transport) -> None:
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""
        closed = self.worker.connections.admit(self, self._peer)
        if closed is self:
            self._is_refused = True
            transport.abort()
            return
        if closed is not None:
            closed.give_way()
        super().connection_made(transport)
        self._timer = self.worker.loop.call_later(self.cfg.keepalive or HEAD_SECONDS, self.give_way)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        if not self._has_begun:
            self._has_begun = True
            self._stop_timer()
            seconds = min(HEAD_SECONDS, self.cfg.timeout or HEAD_SECONDS)
            self._timer = self.worker.loop.call_later(seconds, self._end_without_head)
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self.worker.connections.forget(self, self._peer)
        if not self._is_refused:
            super().connection_lost(exc)

    def give_way(self) -> None:
        """Close a connection that only waits, so that its address can have another one."""
        self._stop_timer()
        self._close_transport()
        self._request_ready.set()

    def _on_headers_complete(self) -> Any:  # noqa: ANN401 - gunicorn's own
        self._stop_timer()
        is_body_skipped = super()._on_headers_complete()
        if found := split_absolute_target(self._current_request.raw_path):
            _address_to_us(self._current_request, *found)
        return is_body_skipped

    def _is_websocket_upgrade(self, _request: object) -> bool:
        """Ignore the wish, as RFC 9110 section 7.8 allows: no address here has anything to say by other protocols."""
        return False

    def _end_without_head(self) -> None:
        self._timer = None
        if self.is_waiting:
            self._send_error_response(408, "The head of the request did not arrive in time.")
            self.give_way()

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


def split_absolute_target(target: bytes) -> tuple[bytes, bytes] | None:
    """Split `http://host/path` into host and path; None for a target in another form.

    A server must take it, and believe it instead of the Host header (RFC 9112 section 3.2.2).
    """
    found = _ABSOLUTE_TARGET.fullmatch(target)
    return (found["host"], found["path"] or b"/") if found else None


def _address_to_us(request: Any, host: bytes, path: bytes) -> None:  # noqa: ANN401 - gunicorn has no types
    request.raw_path = path
    request.path = unquote_to_bytes(path).decode(errors="replace")
    request.headers_bytes = [(name, host if name == b"host" else value) for name, value in request.headers_bytes]


# The worker has no setting for the class of its connections.
gasgi.ASGIProtocol = BoundedConnection


class DrainingWorker(gasgi.ASGIWorker):  # type: ignore[misc] # gunicorn has no types
    """Bounds connections, and gives callers time to be answered before the process ends."""

    @cached_property
    def connections(self) -> ConnectionLimiter:
        """Asked for with the first connection: the application has been started by then."""
        open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return ConnectionLimiter(compute_bound(open_files), is_proxy=self.state.get(IS_PROXY, lambda _peer: False))

    def handle_exit_signal(self) -> None:
        """Handle SIGTERM: take no new connections, and answer what is under way, finished or not."""
        self.loop.call_later(ANNOUNCING_SECONDS, super().handle_exit_signal)
        close = self.state.get(CLOSE_WAITER)
        if close is not None:
            close(max(0.0, self.cfg.graceful_timeout - ANSWER_SECONDS))

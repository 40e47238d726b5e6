"""Sends callbacks over HTTP: the one place where the operator talks to an address that others chose.

It carries out what the pure callback modules decide, and judges nothing itself: the policy reads the attempt.
It speaks to httpx's transport, one layer below the client: no redirects, proxies, cookies or netrc to switch off, and
no log line with the whole URL. Failed connections are described in our own words, since a library's message may quote
what a receiver sent; the words end up in the sync's status, and hold nothing of the URL.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, NoReturn, Protocol

import httpx
from estimatesync_contract.callback_url import (
    Address,
    CallbackTarget,
    TargetRefusedError,
    decide_addresses,
    format_excerpt,
    parse_target,
)
from estimatesync_contract.connection_faults import classify_connection_error
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.settings import ALERT_URL, CALLBACK_TARGETS, CALLBACK_URL, SettingsError
from estimatesync_contract.timestamps import parse_retry_after
from estimatesync_contract.tls_trust import UNREADABLE

from estimatesync_operator.callback.addresses import AddressMemory, compute_connect_seconds
from estimatesync_operator.callback.settings import ALLOWED_SECRETS, CallbackSettings
from estimatesync_operator.callback.signature import build_callback_headers
from estimatesync_operator.core.ports import BackendUnavailableError, CallbackAttempt
from estimatesync_operator.core.retention import is_named

TraceHeaders = Callable[[], Mapping[str, str]]
"""Builds the headers that name the trace a request is part of."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Turns a host and a port into addresses. Raises OSError when it cannot."""

_MAX_ADDRESSES: Final = 32
_CONNECT_ERRORS: Final = (httpx.ConnectError, httpx.ConnectTimeout)
"""Raised before anything of the request is sent: another address may be tried."""

_EXCERPT_MAX_BYTES: Final = 4096
_LOOKUP_THREADS: Final = 32

GetAddressInfo = Callable[..., list[tuple[Any, ...]]]
"""Like socket.getaddrinfo."""


class SecretReader(Protocol):
    """Reads one key of one Secret. Raises BackendUnavailableError when that cannot be answered now."""

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        """Read the value as text; None when the Secret or the key does not exist."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Post:
    """One attempt, with the settings that applied when it began: they may change while it is under way."""

    settings: CallbackSettings
    target: CallbackTarget
    headers: Mapping[str, str]
    body: bytes
    deadline: float
    """As the event loop's clock counts."""


class HttpCallbackSender:
    """A CallbackSender. Its errors name at most the scheme and the host of a URL."""

    def __init__(
        self,
        read_settings: Callable[[], CallbackSettings],
        secrets: SecretReader,
        *,
        resolve: Resolve | None = None,
        ssl_context: ssl.SSLContext | None = None,
        trace_headers: TraceHeaders = dict,
    ) -> None:
        """Prepare for sending.

        Args:
            read_settings: Called before each attempt for what applies to it.
            secrets: Where the URLs of syncs that name a Secret are read, at each attempt.
            resolve: Called once per attempt; what it returns is checked and connected to.
            ssl_context: Which certificates are trusted; by default SSL_CERT_FILE or certifi's.
            trace_headers: Called for each attempt; by default there are none.

        Raises:
            SettingsError: The certificates cannot be read.
        """
        self._read_settings = read_settings
        self._secrets = secrets
        self._resolve = resolve or SharedLookups()
        self._trace_headers = trace_headers
        self._ssl_context = ssl_context or _create_ssl_context()
        self._memory = AddressMemory()

    async def has_target(self, sync: EstimateSync) -> bool:
        """Return whether a URL is configured. One named by a sync counts even if it cannot be read: that is a fault."""
        return sync.spec.callback.url_secret_ref is not None or self._read_settings().default_url is not None

    async def send(
        self, sync: EstimateSync, *, body: bytes, callback_id: str, now: datetime, target: str | None = None
    ) -> CallbackAttempt:
        """Make one attempt: a POST of exactly these bytes. Never raises."""
        settings = self._read_settings()
        url = self._read_url(sync, settings, target)
        return await self._post(settings, url, body=body, callback_id=callback_id, now=now)

    async def has_alert_target(self) -> bool:
        return self._read_settings().alert_url is not None

    async def send_alert(self, sync: EstimateSync, *, body: bytes, callback_id: str, now: datetime) -> CallbackAttempt:  # noqa: ARG002 - the port's
        """Make one attempt, likewise. Never raises."""
        settings = self._read_settings()
        url = _read_alert_url(settings)
        return await self._post(settings, url, body=body, callback_id=callback_id, now=now)

    async def _post(
        self, settings: CallbackSettings, read_url: Awaitable[str], *, body: bytes, callback_id: str, now: datetime
    ) -> CallbackAttempt:
        try:
            url = await read_url
            place = parse_target(url, allow_insecure=settings.allow_insecure)
            post = _Post(
                settings=settings,
                target=place,
                headers=self._build_headers(place, settings, callback_id=callback_id, now=now, body=body),
                body=body,
                deadline=asyncio.get_running_loop().time() + settings.total_seconds,
            )
            return await self._send(post, now=now)
        except TargetRefusedError as error:
            return CallbackAttempt(error=str(error), is_refused=True)
        except BackendUnavailableError:
            return CallbackAttempt(error="the Secret with the callback URL cannot be read now")
        except Exception as error:  # noqa: BLE001 - a delivery that breaks the reconciler would stop every sync
            return CallbackAttempt(error=f"the callback could not be sent: unexpected {type(error).__name__}")

    async def _read_url(self, sync: EstimateSync, settings: CallbackSettings, target: str | None) -> str:
        if target is not None and is_named(target):
            if target not in settings.targets:
                _refuse(f"no callback target is named {target}; add it to {CALLBACK_TARGETS.name}")
            return settings.targets[target] or _refuse(
                f"callback target {target} has no usable URL; correct the file or the Secret that holds it"
            )
        ref = sync.spec.callback.url_secret_ref
        if ref is None:
            return settings.default_url or _refuse(f"no callback URL is configured; set {CALLBACK_URL.name}")
        if ref.name not in settings.allowed_secrets:
            _refuse(f"Secret {ref.name} is not allowed for callbacks; add it to {ALLOWED_SECRETS.name}")
        url = await self._secrets.read(sync.metadata.namespace, ref.name, ref.key)
        return url or _refuse(f"Secret {ref.name} has no callback URL under the key {ref.key}; add it")

    def _build_headers(
        self, target: CallbackTarget, settings: CallbackSettings, *, callback_id: str, now: datetime, body: bytes
    ) -> dict[str, str]:
        """An answer in plain bytes is asked for, so that a small one cannot unpack into a big one."""
        return {
            "host": target.host_header,
            "user-agent": settings.user_agent,
            "content-type": "application/json",
            "accept-encoding": "identity",
            **self._trace_headers(),
            **build_callback_headers(
                callback_id=callback_id,
                now=now,
                body=body,
                signing_keys=settings.signing_keys,
                make_api_key=settings.make_api_key,
            ),
        }

    async def _send(self, post: _Post, *, now: datetime) -> CallbackAttempt:
        try:
            async with httpx.AsyncHTTPTransport(verify=self._ssl_context, trust_env=False) as transport:
                async with asyncio.timeout_at(post.deadline):
                    response = await self._send_to_first(transport, post, await self._resolve_addresses(post))
                excerpt = await _read_excerpt(response, deadline=post.deadline)
        except (httpx.TransportError, OSError) as error:
            return CallbackAttempt(error=f"{post.target.origin}: {format_fault(error)}")
        return CallbackAttempt(
            status_code=response.status_code,
            retry_after=parse_retry_after(response.headers.get("retry-after"), now=now),
            body_excerpt=format_excerpt(excerpt, secrets=(*post.target.secrets, post.settings.make_api_key or "")),
        )

    async def _resolve_addresses(self, post: _Post) -> tuple[Address, ...]:
        resolved = await self._resolve(post.target.host, post.target.port)
        addresses = decide_addresses(resolved, allow_private=post.settings.allow_private)
        return self._memory.order(post.target, addresses)[:_MAX_ADDRESSES]

    async def _send_to_first(
        self, transport: httpx.AsyncHTTPTransport, post: _Post, addresses: Sequence[Address]
    ) -> httpx.Response:
        """Try the addresses in turn until one connects; once it has, its outcome is the outcome."""
        loop = asyncio.get_running_loop()
        for number, address in enumerate(addresses, start=1):
            seconds = compute_connect_seconds(
                post.deadline - loop.time(), left=len(addresses) - number + 1, settings=post.settings
            )
            try:
                response = await transport.handle_async_request(_build_request(post, address, connect_seconds=seconds))
            except _CONNECT_ERRORS:
                if number == len(addresses):
                    raise
                continue
            except (httpx.TransportError, asyncio.CancelledError):
                self._memory.note_failure(post.target, address)
                raise
            self._note_answer(post.target, address, response)
            return response
        raise httpx.ConnectError("the name has no address")

    def _note_answer(self, target: CallbackTarget, address: Address, response: httpx.Response) -> None:
        """What stands before a webhook answers with a server error in its place; behind another address it may do."""
        if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            self._memory.note_answer(target, address)
        else:
            self._memory.note_failure(target, address)


def _build_request(post: _Post, address: Address, *, connect_seconds: float) -> httpx.Request:
    """Address the request to what was checked; the name stays in the Host header, in SNI and in the certificate."""
    target = post.target
    timeout = httpx.Timeout(post.settings.total_seconds, connect=connect_seconds)
    return httpx.Request(
        "POST",
        httpx.URL(scheme=target.scheme, host=str(address), port=target.port, raw_path=target.path.encode("ascii")),
        headers=post.headers,
        content=post.body,
        extensions={"timeout": timeout.as_dict(), "sni_hostname": target.server_name},
    )


async def _read_alert_url(settings: CallbackSettings) -> str:
    return settings.alert_url or _refuse(f"no URL for alerts is configured; set {ALERT_URL.name}")


def _create_ssl_context() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise SettingsError([UNREADABLE]) from error


async def _read_excerpt(response: httpx.Response, *, deadline: float) -> bytes:
    """Read the start of an answer. Its status is known already, so an answer that breaks or trickles is cut short."""
    excerpt = bytearray()
    with suppress(httpx.TransportError, OSError):
        async with asyncio.timeout_at(deadline):
            async for chunk in response.aiter_raw():
                excerpt += chunk
                if len(excerpt) >= _EXCERPT_MAX_BYTES:
                    break
    await response.aclose()
    return bytes(excerpt[:_EXCERPT_MAX_BYTES])


def _refuse(message: str) -> NoReturn:
    raise TargetRefusedError(message)


class SharedLookups:
    """A Resolve. Nothing is remembered: a look-up is shared only by the requests that come while it is under way."""

    def __init__(self, get_address_info: GetAddressInfo = socket.getaddrinfo) -> None:
        self._get_address_info = get_address_info
        self._threads = ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="lookup")
        self._under_way: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Look a host up; the resolver's order is kept: best address first.

        Raises:
            OSError: It has no address, or the name servers do not answer.
        """
        key = host, port
        lookup = self._under_way.get(key)
        if lookup is None:
            loop = asyncio.get_running_loop()
            lookup = self._under_way[key] = loop.run_in_executor(self._threads, self._look_up, host, port)
            lookup.add_done_callback(lambda done: self._end(key, done))
        return await asyncio.shield(lookup)

    def _look_up(self, host: str, port: int) -> Sequence[str]:
        found = self._get_address_info(host, port, type=socket.SOCK_STREAM)
        return [str(address[0]) for *_, address in found]

    def _end(self, key: tuple[str, int], done: asyncio.Future[Sequence[str]]) -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # The caller may have given up: an error that is not retrieved is not a defect.


def format_fault(error: BaseException) -> str:
    """Say what broke, after the name of the receiver; nothing of what it sent is repeated."""
    fault, detail = classify_connection_error(error)
    return fault.without_host.format(detail=detail)

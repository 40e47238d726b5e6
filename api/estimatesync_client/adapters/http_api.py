"""The API over HTTP: one request at a time, retried while the server is down or busy.

`core.problems` and `core.api` decide what a response means, `core.waiting` how long to wait before a retry.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from estimatesync_contract.names import START_PATH, SYNCS_PATH
from estimatesync_contract.timestamps import parse_retry_after

from estimatesync_client.adapters.connection import classify_error
from estimatesync_client.core.api import (
    Acted,
    ListQuery,
    Redelivered,
    Started,
    StartQuery,
    Sync,
    SyncPage,
    parse_acted,
    parse_redelivered,
    parse_started,
    parse_sync,
    parse_sync_page,
)
from estimatesync_client.core.errors import ClientError, NotEstimateSyncError, UnavailableError
from estimatesync_client.core.problems import build_connection_error, build_response_error, parse_body
from estimatesync_client.core.waiting import next_delay
from estimatesync_client.settings import DEFAULT_URL

Notice = Callable[[str], None]
"""Shows a person why nothing happens for a while."""

_FOLLOW_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)
"""A log may be silent for a long time; reconnecting to it costs nothing."""


class HttpApi:
    """A Server over HTTP."""

    def __init__(
        self,
        client: httpx.Client,
        *,
        patience: float,
        awaits_server: bool = True,
        notice: Notice,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Create the adapter; nothing is sent yet.

        Args:
            client: has the address and the key.
            patience: seconds of retries while the server is down or busy; a call may give its own.
            awaits_server: whether that is also the patience with an address where there is no server.
            notice: called with a sentence before the first retry of each request.
            clock: monotonic seconds.
            pause: sleeps for so many seconds.
        """
        self._client = client
        self._patience = patience
        self._awaits_server = awaits_server
        self._notice = notice
        self._clock = clock
        self._pause = pause

    def start(self, query: StartQuery) -> Started:
        """The idempotency key makes every retry of the request find the sync of the first one."""
        days = {"startDate": query.start_date, "endDate": query.end_date, "days": query.days}
        asked = {
            **days,
            "mode": query.mode,
            "callback": list(query.targets) or None,
            "metadata": query.metadata or None,
        }
        body = {name: value for name, value in asked.items() if value is not None}
        headers = {"Idempotency-Key": query.idempotency_key}
        return parse_started(self._request("POST", START_PATH, json=body, headers=headers))

    def fetch_sync(self, sync_id: str, *, patience: float | None = None) -> Sync:
        response = self._send_patiently("GET", _build_path(sync_id), patience=patience)
        sync = parse_sync(_read_body(response))
        page = response.links.get("alternate", {}).get("url", "")
        if sync.details_url or not page.startswith("/") or self._client.base_url.path != "/":
            return sync
        # Where no address is published, the page is reached like the API; below a path, that is not known.
        return msgspec.structs.replace(sync, details_url=f"{str(self._client.base_url).rstrip('/')}{page}")

    def fetch_page(self, query: ListQuery) -> SyncPage:
        wanted = {
            "limit": str(query.limit),
            "status": ",".join(query.statuses),
            "since": query.since,
            "until": query.until,
            "cursor": query.cursor,
        }
        params = {name: value for name, value in wanted.items() if value}
        return parse_sync_page(self._request("GET", SYNCS_PATH, params=params))

    def fetch_log(self, sync_id: str) -> str:
        return self._send_patiently("GET", f"{_build_path(sync_id)}/logs").text

    def follow_log(self, sync_id: str) -> Iterator[str]:
        path = f"{_build_path(sync_id)}/logs"
        try:
            with self._client.stream("GET", path, params={"follow": "true"}, timeout=_FOLLOW_TIMEOUT) as response:
                if response.status_code != HTTPStatus.OK:
                    response.read()
                    raise self._build_response_error(response)
                yield from response.iter_text()
        except httpx.RequestError as error:
            raise self._build_connection_error(error) from error

    def cancel(self, sync_id: str) -> Acted:
        return parse_acted(self._request("POST", f"{_build_path(sync_id)}/cancel"))

    def redeliver(self, sync_id: str, targets: Sequence[str] = ()) -> Acted:
        body = {"callback": list(targets)} if targets else None
        return parse_acted(self._request("POST", f"{_build_path(sync_id)}/redeliver", json=body))

    def redeliver_failed(self, query: ListQuery) -> Redelivered:
        wanted = {"since": query.since, "until": query.until, "cursor": query.cursor}
        body = {name: value for name, value in wanted.items() if value}
        return parse_redelivered(self._request("POST", f"{SYNCS_PATH}/redeliver", json=body))

    def _request(self, method: str, path: str, *, patience: float | None = None, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's own
        return _read_body(self._send_patiently(method, path, patience=patience, **options))

    def _send_patiently(
        self,
        method: str,
        path: str,
        *,
        patience: float | None = None,
        **options: Any,  # noqa: ANN401 - httpx's own
    ) -> httpx.Response:
        """Retry until there is a response that a retry would not change, or the patience is over."""
        deadline = self._clock() + (self._patience if patience is None else patience)
        is_awaited = self._awaits_server or patience is not None
        failures = 0
        while True:
            try:
                return self._send(method, path, **options)
            except UnavailableError as error:
                failures += 1
                remaining = deadline - self._clock()
                delay = next_delay(failures, retry_after=error.retry_after, remaining=remaining)
                if delay is None or error.is_lasting or (error.is_absent and not is_awaited):
                    # What was sent before may have been served.
                    error.is_absent = error.is_absent and failures == 1
                    raise
                if failures == 1:
                    self._notice(f"{error.message} Retrying for up to {remaining:.0f} s.")
            self._pause(delay)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        try:
            response = self._client.request(method, path, **options)
        except httpx.RequestError as error:
            raise self._build_connection_error(error) from error
        if not response.is_success:
            raise self._build_response_error(response)
        return response

    def _build_connection_error(self, error: httpx.RequestError) -> UnavailableError:
        diagnosis, detail = classify_error(error)
        is_default = self._host == urlsplit(DEFAULT_URL).netloc
        return build_connection_error(diagnosis, detail, host=self._host, is_default_host=is_default)

    def _build_response_error(self, response: httpx.Response) -> ClientError:
        retry_after = parse_retry_after(response.headers.get("retry-after"), now=datetime.now(UTC))
        return build_response_error(
            response.status_code,
            response.content,
            location=response.headers.get("location", ""),
            retry_after=None if retry_after is None else retry_after.total_seconds(),
            host=self._host,
        )

    @property
    def _host(self) -> str:
        return self._client.base_url.netloc.decode("ascii")


def _read_body(response: httpx.Response) -> dict[str, Any]:
    body = parse_body(response.content)
    if body is None or body.get("success") is not True:
        raise NotEstimateSyncError("The server's response is not one of an EstimateSync API.")
    return body


def _build_path(sync_id: str) -> str:
    return f"{SYNCS_PATH}/{quote(sync_id, safe='')}"

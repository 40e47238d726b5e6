"""The API over HTTP: one request at a time, retried while the server is down or busy.

`core.problems` and `core.api` decide what a response means, `core.waiting` how long to wait before a retry.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import httpx
from estimatesync_contract.names import START_PATH, SYNCS_PATH

from estimatesync_client.adapters.connection import classify_error
from estimatesync_client.core.api import (
    Acted,
    ListQuery,
    Started,
    StartQuery,
    Sync,
    SyncPage,
    parse_acted,
    parse_started,
    parse_sync,
    parse_sync_page,
)
from estimatesync_client.core.errors import ClientError, NotEstimateSyncError, UnavailableError
from estimatesync_client.core.problems import build_answer_error, build_connection_error, parse_body
from estimatesync_client.core.waiting import next_delay, parse_retry_after

Notice = Callable[[str], None]
"""Tells a person why nothing happens for a while."""

_FOLLOW_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)
"""A log may be silent for long; following it again costs nothing."""


class HttpApi:
    """A Server."""

    def __init__(
        self,
        client: httpx.Client,
        *,
        patience: float,
        notice: Notice,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            client: Knows the address and the key.
            patience: Seconds for which a server that is away or busy is asked again, if a call names no others.
            notice: Called with a sentence once for each time that the server is away.
            clock: Seconds that only ever grow.
            pause: Sleeps.
        """
        self._client = client
        self._patience = patience
        self._notice = notice
        self._clock = clock
        self._pause = pause

    def start(self, query: StartQuery) -> Started:
        """Start a sync; the key makes every repetition of the request meet the first one."""
        days = {"startDate": query.start_date, "endDate": query.end_date}
        body = {name: day for name, day in days.items() if day}
        headers = {"Idempotency-Key": query.idempotency_key}
        return parse_started(self._ask("POST", START_PATH, json=body, headers=headers))

    def fetch_sync(self, sync_id: str, *, patience: float | None = None) -> Sync:
        """Read one sync."""
        return parse_sync(self._ask("GET", _build_path(sync_id), patience=patience))

    def fetch_page(self, query: ListQuery) -> SyncPage:
        """Read some syncs."""
        wanted = {
            "limit": str(query.limit),
            "status": ",".join(query.statuses),
            "since": query.since,
            "until": query.until,
            "cursor": query.cursor,
        }
        params = {name: value for name, value in wanted.items() if value}
        return parse_sync_page(self._ask("GET", SYNCS_PATH, params=params))

    def fetch_log(self, sync_id: str) -> str:
        """Read the log."""
        return self._exchange("GET", f"{_build_path(sync_id)}/logs").text

    def follow_log(self, sync_id: str) -> Iterator[str]:
        """Read the log while it grows."""
        path = f"{_build_path(sync_id)}/logs"
        try:
            with self._client.stream("GET", path, params={"follow": "true"}, timeout=_FOLLOW_TIMEOUT) as response:
                if response.status_code != HTTPStatus.OK:
                    response.read()
                    raise self._build_error(response)
                yield from response.iter_text()
        except httpx.RequestError as error:
            raise self._build_fault(error) from error

    def cancel(self, sync_id: str) -> Acted:
        """Ask that a sync stops."""
        return parse_acted(self._ask("POST", f"{_build_path(sync_id)}/cancel"))

    def redeliver(self, sync_id: str) -> Acted:
        """Ask that a callback is sent again."""
        return parse_acted(self._ask("POST", f"{_build_path(sync_id)}/redeliver"))

    def _ask(self, method: str, path: str, *, patience: float | None = None, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's own
        response = self._exchange(method, path, patience=patience, **options)
        body = parse_body(response.content)
        if body is None or body.get("success") is not True:
            raise NotEstimateSyncError("The server answers with something else than EstimateSync does.")
        return body

    def _exchange(self, method: str, path: str, *, patience: float | None = None, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        """Send a request until it is answered for good, or the patience is over."""
        deadline = self._clock() + (self._patience if patience is None else patience)
        failures = 0
        while True:
            try:
                return self._send(method, path, **options)
            except UnavailableError as error:
                failures += 1
                remaining = deadline - self._clock()
                delay = next_delay(failures, retry_after=error.retry_after, remaining=remaining)
                if delay is None or error.is_lasting:
                    raise
                if failures == 1:
                    self._notice(f"{error.message} Asking again for up to {remaining:.0f} s.")
            self._pause(delay)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        try:
            response = self._client.request(method, path, **options)
        except httpx.RequestError as error:
            raise self._build_fault(error) from error
        if not response.is_success:
            raise self._build_error(response)
        return response

    def _build_fault(self, error: httpx.RequestError) -> UnavailableError:
        diagnosis, detail = classify_error(error)
        return build_connection_error(diagnosis, detail, host=self._host)

    def _build_error(self, response: httpx.Response) -> ClientError:
        return build_answer_error(
            response.status_code,
            response.content,
            location=response.headers.get("location", ""),
            retry_after=parse_retry_after(response.headers.get("retry-after"), now=datetime.now(UTC)),
            host=self._host,
        )

    @property
    def _host(self) -> str:
        return self._client.base_url.netloc.decode("ascii")


def _build_path(sync_id: str) -> str:
    return f"{SYNCS_PATH}/{quote(sync_id, safe='')}"

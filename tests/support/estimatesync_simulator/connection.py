"""The operator's own HTTP client on a connection that ends in this process, with the statuses and bodies of HTTP."""

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any, Self

from estimatesync_kubernetes.client import KubernetesClient

from estimatesync_simulator.api_server import Problem, Request, parse_request

Call = Callable[[Request], Awaitable[bytes]]
"""Answers a request. Raises Problem for an answer that is no success, and aiohttp's errors for none."""


def connect(call: Call, *, timeout_seconds: float = 30.0) -> KubernetesClient:
    """Make the real client of the API server whose requests end here."""
    connection: Any = _Connection(call)  # in place of the generated client, of which two calls are used
    return KubernetesClient(connection, timeout_seconds=timeout_seconds)


class _Connection:
    """The calls that KubernetesClient makes, and what it does with the answer."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def close(self) -> None: ...

    async def param_serialize(
        self, method: str, path: str, *, query_params: Iterable[tuple[str, str]], **_: object
    ) -> tuple[str, str, Iterable[tuple[str, str]], None, None]:
        return method, path, query_params, None, None

    async def call_api(
        self, method: str, path: str, query: Iterable[tuple[str, str]], body: object, _: None, **__: object
    ) -> "_Answer":
        try:
            return _Answer(HTTPStatus.OK, await self._call(parse_request(method, path, query, body)))
        except Problem as problem:
            wait = {} if problem.retry_after is None else {"Retry-After": str(problem.retry_after)}
            return _Answer(problem.code, problem.encode(), wait)


class _Answer:
    """An aiohttp response, as far as it is used."""

    reason = ""

    def __init__(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers or {}
        self._body = body

    @property
    def response(self) -> Self:
        return self

    async def read(self) -> bytes:
        return self._body

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

"""Requests and responses as values, between the sockets (`loopback_server`) and whoever answers them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it arrived.

    Attributes:
        path: without the query string, still percent-encoded.
        query_string: what follows `?`, still percent-encoded.
        headers: names in lower case; a repeated header is joined by `, `.
    """

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime

    @property
    def parameters(self) -> dict[str, str]:
        """The query string decoded; the last of a repeated name."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))


@dataclass(frozen=True, kw_only=True)
class Response:
    """What to send, and how badly.

    Attributes:
        delay_seconds: waited before the first byte.
        cut_after: bytes of the body to send before the connection closes; None sends all.
        is_reset: closes the connection with a TCP reset and sends nothing.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_seconds: float = 0.0
    cut_after: int | None = None
    is_reset: bool = False


def build_json_response(body: Any, *, status: int = 200) -> Response:  # noqa: ANN401 - any JSON value
    """Build a response from a JSON value."""
    return Response(status=status, headers={"Content-Type": "application/json"}, body=msgspec.json.encode(body))

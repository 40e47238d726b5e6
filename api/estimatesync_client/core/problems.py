"""What a response of the API means: its body, or which error. `adapters.http_api` sends and receives."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from estimatesync_client.core.diagnoses import Diagnosis
from estimatesync_client.core.errors import (
    ClientError,
    ConflictError,
    NotAllowedError,
    NotEstimateSyncError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from estimatesync_client.core.formatting import strip_control_characters

URL_VARIABLE: Final = "ESTIMATESYNC_URL"
KEY_VARIABLE: Final = "ESTIMATESYNC_API_KEY"
KEY_FILE_VARIABLE: Final = f"{KEY_VARIABLE}_FILE"

_TRANSIENT: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_ERRORS_BY_STATUS: Final[Mapping[int, tuple[type[ClientError], str]]] = {
    401: (NotAllowedError, f"Set {KEY_VARIABLE} to one of the API's keys"),
    403: (NotAllowedError, f"Check {KEY_VARIABLE}; `estimatesync doctor` shows what it may do"),
    404: (NotFoundError, "`estimatesync list` shows those that exist"),
    409: (ConflictError, ""),
}
_LASTING: Final = frozenset({Diagnosis.UNTRUSTED, Diagnosis.CERTIFICATE_EXPIRED, Diagnosis.MISNAMED, Diagnosis.NO_TLS})
_ABSENT: Final = frozenset({Diagnosis.NAME_UNKNOWN, Diagnosis.NOTHING_LISTENS, Diagnosis.OUT_OF_REACH})
_UNKNOWN_PATH: Final = "not_found"
"""The API's code for an unknown path: it is older than this program, or behind another path."""
_QUOTE_LENGTH: Final = 300


def parse_body(raw: bytes) -> dict[str, Any] | None:
    """Parse a JSON object; None when it is anything else."""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def format_origin(location: str) -> str:
    """Show where a redirect leads: scheme and host only, since a path may hold anything."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "an unreadable address"
    return strip_control_characters(f"{parts.scheme}://{parts.netloc}") if parts.netloc else "another path"


def build_connection_error(
    diagnosis: Diagnosis, detail: str, *, host: str, is_default_host: bool = False
) -> UnavailableError:
    """Build the error of a connection that failed; the default host is that of a server that a person starts here."""
    message, cure = _format(diagnosis, host=host, setting=URL_VARIABLE, detail=detail)
    if is_default_host and diagnosis is Diagnosis.NOTHING_LISTENS:
        cure = f"Start it, on one machine with: make local; or set {URL_VARIABLE} to the address of yours"
    return UnavailableError(message, cure=cure, is_lasting=diagnosis in _LASTING, is_absent=diagnosis in _ABSENT)


def build_response_error(
    status: int, raw: bytes, *, location: str, retry_after: float | None, host: str
) -> ClientError:
    """Build the error of a response that is not a success.

    Args:
        status: the HTTP status code.
        raw: the body.
        location: where a redirect leads; empty without one.
        retry_after: seconds that the server asks to wait.
        host: which server responded.
    """
    details = {"host": host, "setting": URL_VARIABLE}
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        message, cure = _format(Diagnosis.REDIRECTED, detail=format_origin(location), **details)
        return NotEstimateSyncError(message, cure=cure)
    body = parse_body(raw)
    said = _read_message(body)
    if status in _TRANSIENT:
        later = f" in {retry_after:.0f} s" if retry_after else ""
        message, cure = _format(Diagnosis.BUSY, detail=said or f"HTTP {status}", later=later)
        return UnavailableError(message, cure=cure, code=_read_code(body), retry_after=retry_after)
    if not said or body is None or _read_code(body) == _UNKNOWN_PATH:
        message, cure = _format(Diagnosis.NOT_ESTIMATESYNC, detail=said.rstrip(".") or f"HTTP {status}", **details)
        return NotEstimateSyncError(message, cure=cure)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        message, cure = _format(Diagnosis.INTERNAL_ERROR, detail=said)
        return RefusedError(message, cure=cure, code=_read_code(body))
    return _build_refusal(status, body, said)


def _build_refusal(status: int, body: dict[str, Any], said: str) -> ClientError:
    kind, cure = _ERRORS_BY_STATUS.get(status, (RefusedError, ""))
    listed = body.get("errors")
    faults = tuple(strip_control_characters(str(fault)) for fault in listed) if isinstance(listed, list) else ()
    return kind(said, cure=cure, code=_read_code(body), faults=faults)


def _read_message(body: dict[str, Any] | None) -> str:
    """Every error of the API has these two fields; a body without them is not the API's."""
    if body is None or body.get("success") is not False or not isinstance(body.get("message"), str):
        return ""
    return strip_control_characters(body["message"])[:_QUOTE_LENGTH]


def _read_code(body: dict[str, Any] | None) -> str:
    return str((body or {}).get("code") or "")


def _format(diagnosis: Diagnosis, **details: object) -> tuple[str, str]:
    """Make sentences of a row; a text that begins with a host keeps its case."""
    happened = (
        diagnosis.happened
        if diagnosis.happened.startswith("{")
        else diagnosis.happened[0].upper() + diagnosis.happened[1:]
    )
    return f"{happened.format(**details).rstrip('.')}.", diagnosis.cure.format(**details)

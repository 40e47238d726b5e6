"""A connection to Attic Tech that fails, as the sync's own error: what happened, and the one cure that fits."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from estimatesync_contract.connection_faults import UNREACHED, ConnectionFault, classify_connection_error
from estimatesync_contract.specific_causes import SpecificCause

from estimatesync_job.core.errors import TransientSourceError

_CAUSES: Final[Mapping[ConnectionFault, SpecificCause]] = {
    ConnectionFault.NAME_UNKNOWN: SpecificCause.SOURCE_NAME_UNKNOWN,
    ConnectionFault.NOTHING_LISTENS: SpecificCause.SOURCE_NOT_LISTENING,
    ConnectionFault.OUT_OF_REACH: SpecificCause.SOURCE_OUT_OF_REACH,
    ConnectionFault.NO_ANSWER: SpecificCause.SOURCE_TOO_SLOW,
    ConnectionFault.CERTIFICATE_EXPIRED: SpecificCause.SOURCE_CERTIFICATE_EXPIRED,
    ConnectionFault.MISNAMED: SpecificCause.SOURCE_CERTIFICATE_MISNAMED,
    ConnectionFault.UNTRUSTED: SpecificCause.SOURCE_CERTIFICATE_UNTRUSTED,
    ConnectionFault.NO_TLS: SpecificCause.SOURCE_WITHOUT_TLS,
    ConnectionFault.RESET: SpecificCause.SOURCE_RESETS,
    ConnectionFault.NO_HTTP: SpecificCause.SOURCE_WITHOUT_HTTP,
    ConnectionFault.PROXY_REFUSES: SpecificCause.PROXY_REFUSES,
    ConnectionFault.BROKEN: SpecificCause.SOURCE_CONNECTION_FAILED,
}
_PORTS: Final = {"http": 80, "https": 443}


def build_connection_error(error: Exception, *, url: str, proxy: str | None) -> TransientSourceError:
    """Build the error of a request without a response; of URL and proxy, only host and port are named."""
    fault, detail = classify_connection_error(error)
    if proxy is not None and fault in UNREACHED:
        why = fault.with_host.format(host=_format_place(proxy))
        cause = SpecificCause.PROXY_AWAY
        return TransientSourceError(cause.format_happened(why=why), cause=cause)
    cause = _CAUSES[fault]
    return TransientSourceError(cause.format_happened(host=_format_host(url, fault), detail=detail), cause=cause)


def _format_host(url: str, fault: ConnectionFault) -> str:
    """Name the port where it may be what is wrong."""
    is_of_the_name = fault in {ConnectionFault.NAME_UNKNOWN, ConnectionFault.MISNAMED}
    return urlsplit(url).hostname or "" if is_of_the_name else _format_place(url)


def _format_place(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or _PORTS.get(parts.scheme)
    return f"{f'[{host}]' if ':' in host else host}:{port}"

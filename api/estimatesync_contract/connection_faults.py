"""Why a connection fails, in words for a person: one table for Attic Tech, callbacks, and what `doctor` tries.

A library's message may quote what a receiver sent, or an address that is a secret; these words hold neither. Errors are
told by their names, since what is pure stands on no socket, and the contract on no library for HTTP.
"""

import os
from collections.abc import Iterator
from enum import Enum
from typing import Final

from estimatesync_contract.foreign_text import clean_line


class ConnectionFault(Enum):
    """What happened: with the host, and where the host has been named."""

    NAME_UNKNOWN = "the name {host} cannot be resolved", "its name cannot be resolved"
    NOTHING_LISTENS = "nothing listens at {host}", "nothing listens at its address"
    OUT_OF_REACH = "{host} could not be reached in time", "it could not be reached in time"
    NO_ANSWER = "{host} did not answer in time", "it did not answer in time"
    CERTIFICATE_EXPIRED = (
        "the certificate of {host} is not valid now ({detail})",
        "its certificate is not valid now ({detail})",
    )
    MISNAMED = "the certificate of {host} is for another name", "its certificate is for another name"
    UNTRUSTED = "the certificate of {host} is not trusted ({detail})", "its certificate is not trusted ({detail})"
    NO_TLS = "{host} does not speak TLS", "TLS failed; it may not speak https at this port"
    RESET = "{host} reset the connection", "it reset the connection"
    NO_HTTP = (
        "{host} closed the connection without an answer",
        "it closed the connection without an answer, or does not speak HTTP",
    )
    PROXY_REFUSES = "the proxy does not connect to {host} ({detail})", "the proxy does not connect to it ({detail})"
    BROKEN = "the connection to {host} failed ({detail})", "the connection failed ({detail})"

    def __init__(self, with_host: str, without_host: str) -> None:
        self.with_host = with_host
        self.without_host = without_host


UNREACHED: Final = frozenset(
    {ConnectionFault.NAME_UNKNOWN, ConnectionFault.NOTHING_LISTENS, ConnectionFault.OUT_OF_REACH}
)
"""There is no connection: where there is a proxy, it is the proxy that was not reached."""

_UNVERIFIED: Final = "SSLCertVerificationError"
_NAMES: Final[tuple[tuple[str, ConnectionFault], ...]] = (
    # httpx's.
    ("ProxyError", ConnectionFault.PROXY_REFUSES),
    ("ConnectTimeout", ConnectionFault.OUT_OF_REACH),
    ("TimeoutException", ConnectionFault.NO_ANSWER),
    ("RemoteProtocolError", ConnectionFault.NO_HTTP),
    # Python's.
    (_UNVERIFIED, ConnectionFault.UNTRUSTED),
    ("SSLError", ConnectionFault.NO_TLS),
    ("gaierror", ConnectionFault.NAME_UNKNOWN),
    # From names that DNS cannot represent.
    ("UnicodeError", ConnectionFault.NAME_UNKNOWN),
    ("ConnectionRefusedError", ConnectionFault.NOTHING_LISTENS),
    ("ConnectionResetError", ConnectionFault.RESET),
    ("BrokenPipeError", ConnectionFault.RESET),
    ("TimeoutError", ConnectionFault.NO_ANSWER),
)
_CERTIFICATE_FAULTS: Final = {
    9: ConnectionFault.CERTIFICATE_EXPIRED,
    10: ConnectionFault.CERTIFICATE_EXPIRED,
    62: ConnectionFault.MISNAMED,
    64: ConnectionFault.MISNAMED,
}
"""By OpenSSL's number: not yet valid, expired, another host name, another IP address (x509_vfy.h)."""

_DETAIL_LENGTH: Final = 100


def classify_connection_error(error: BaseException) -> tuple[ConnectionFault, str]:
    """Find the fault and its detail; a library's error hides that of the system, so the whole chain is searched."""
    for each in _walk(error):
        if (fault := _find_fault(each)) is not None:
            return fault, _find_detail(each)
    numbers = [each.errno for each in _walk(error) if isinstance(each, OSError) and each.errno]
    return ConnectionFault.BROKEN, os.strerror(numbers[0]) if numbers else type(error).__name__


def _find_fault(error: BaseException) -> ConnectionFault | None:
    names = {kind.__name__ for kind in type(error).__mro__}
    fault = next((fault for name, fault in _NAMES if name in names), None)
    if fault is ConnectionFault.UNTRUSTED:
        return _CERTIFICATE_FAULTS.get(getattr(error, "verify_code", 0), fault)
    return fault


def _find_detail(error: BaseException) -> str:
    name = type(error).__name__
    if name == _UNVERIFIED:
        return getattr(error, "verify_message", "") or "no cause is known"
    # A proxy's refusal is its status line, such as `407 Proxy Authentication Required`.
    return clean_line(str(error), max_length=_DETAIL_LENGTH) if name == "ProxyError" else ""


def _walk(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes; of several addresses that were tried at once, each has its own."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            yield from (found for each in error.exceptions for found in _walk(each))
        error = error.__cause__ or error.__context__

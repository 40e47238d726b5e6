"""Which cause a failed connection has, read off the exception. Pure; whoever talks to somebody calls it."""

import os
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import httpx

from estimatesync_client.causes import Cause

CONNECTION_ERRORS: Final = (httpx.RequestError, OSError, UnicodeError)
"""What a connection may raise; the last one comes of names that DNS cannot carry."""

_KNOWN: Final[tuple[tuple[type[BaseException], Cause], ...]] = (
    (ssl.SSLCertVerificationError, Cause.UNTRUSTED),
    (ssl.SSLError, Cause.NO_TLS),
    (socket.gaierror, Cause.NAME_UNKNOWN),
    (UnicodeError, Cause.NAME_UNKNOWN),
    (ConnectionRefusedError, Cause.NOTHING_LISTENS),
    (httpx.ConnectTimeout, Cause.OUT_OF_REACH),
    (httpx.TimeoutException, Cause.NO_ANSWER),
    (TimeoutError, Cause.OUT_OF_REACH),
    (httpx.RemoteProtocolError, Cause.NO_HTTP),
)


def classify_fault(error: BaseException) -> tuple[Cause, str]:
    """Find the cause and its detail; errors of a library hide those of the system, so all of them are looked at."""
    for fault in _walk(error):
        for kind, cause in _KNOWN:
            if isinstance(fault, kind):
                return cause, getattr(fault, "verify_message", "")
    numbers = [fault.errno for fault in _walk(error) if isinstance(fault, OSError) and fault.errno]
    return Cause.BROKEN, os.strerror(numbers[0]) if numbers else type(error).__name__


def _walk(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

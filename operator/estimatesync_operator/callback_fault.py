"""What to call a connection that failed, in words of ours: a library's message may quote what a receiver sent.

The sender calls it. The words are for the status of the sync, and hold nothing of the URL.
"""

import os
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import httpx

_WORDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (ssl.SSLError, "TLS failed; it may not speak https at this port"),
    (socket.gaierror, "its name cannot be resolved"),
    (httpx.ConnectTimeout, "it could not be reached in time"),
    (httpx.TimeoutException, "it did not answer in time"),
    (TimeoutError, "it did not answer in time"),
    (httpx.RemoteProtocolError, "it closed the connection without an answer, or does not speak HTTP"),
)


def format_fault(error: BaseException) -> str:
    """Say what broke, from the first cause that is known; errors of a library hide those of the system."""
    known = (_format_cause(cause) for cause in _walk_causes(error))
    return next((words for words in known if words is not None), "the connection failed")


def _format_cause(cause: BaseException) -> str | None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message})"
    for kind, words in _WORDS:
        if isinstance(cause, kind):
            return words
    if isinstance(cause, OSError) and cause.errno:
        return f"the connection failed ({os.strerror(cause.errno)})"
    return None


def _walk_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

"""The body of a response, read against a bound of unpacked bytes: few kilobytes may unpack to gigabytes, or never end.

A page that is refused would be just as large the next time, so the cure is said at once.
"""

import ctypes
from contextlib import suppress
from typing import Final

import httpx
from estimatesync_contract.specific_causes import SpecificCause

from estimatesync_job.core.errors import SourceInvalidError

ACCEPT_ENCODING: Final = "gzip, deflate"
"""What is asked for: what unpacks a chunk to a thousand times its size at most. Others that httpx may know do more."""

_CODINGS: Final = frozenset({"", "identity", "gzip", "deflate"})
MEGABYTE: Final = 1_000_000

_M_MMAP_THRESHOLD: Final = -3
"""From glibc's malloc.h."""
_LARGE_BYTES: Final = 131_072


def give_large_bodies_back() -> None:
    """Have the memory of a large body returned to the system once it is freed, where the C library is glibc.

    By default it raises the size of what it returns to the largest that it has seen, and bodies then grow by being
    copied within a heap that keeps its holes (https://man7.org/linux/man-pages/man3/mallopt.3.html).
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


async def read_body(
    response: httpx.Response, *, max_bytes: int, advice: str, too_large: SpecificCause | None = None
) -> bytes | bytearray:
    """Read a body that is being streamed; the caller bounds the time.

    It grows in one place: pieces to be joined would be in memory twice, for each page in flight.

    Args:
        response: its head has been read.
        max_bytes: unpacked.
        advice: what to do about a larger one, in a sentence.
        too_large: the cause that a larger one is, if there is a row for it.

    Raises:
        SourceInvalidError: It is larger, or packed in a way that was not asked for, such as twice.
        httpx.HTTPError: The connection broke, or the body cannot be unpacked.
    """
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding not in _CODINGS:
        if response.is_error:
            # The status says enough, and perhaps that another attempt may help.
            return b""
        raise SourceInvalidError(
            "Attic Tech packs its answers in a way that was not asked for (Content-Encoding). "
            f"What stands in front of it must respect Accept-Encoding: {ACCEPT_ENCODING}.",
            cause=SpecificCause.ANSWER_REPACKED,
        )
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise SourceInvalidError(
                f"Attic Tech sent an answer of more than {max_bytes // MEGABYTE} MB, unpacked. {advice}",
                cause=too_large,
            )
    return body

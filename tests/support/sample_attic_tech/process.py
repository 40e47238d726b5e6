"""How the sample and the receiver run as processes: one line of JSON when ready, a quick end on SIGTERM."""

import signal
import sys
from contextlib import AbstractContextManager
from threading import Event
from typing import Protocol

import msgspec


class Served(Protocol):
    """Something that listens at a URL."""

    url: str


def serve_until_stopped(serving: AbstractContextManager[Served]) -> None:
    """Print `{"url": …}` once the server listens, and stop it on SIGTERM or SIGINT.

    Raises:
        SystemExit: when it cannot listen; the message says why.
    """
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        with serving as served:
            sys.stdout.write(msgspec.json.encode({"url": served.url}).decode() + "\n")
            sys.stdout.flush()
            stopping.wait()
    except OSError as error:
        raise SystemExit(f"Cannot serve: {error.strerror}. Choose another --port, or 0 for a free one.") from error

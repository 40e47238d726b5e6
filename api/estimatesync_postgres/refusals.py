"""Reads with which SQLSTATE a server refuses a connection, which libpq knows and passes on to nobody.

libpq can trace the messages of a connection from its first byte; psycopg passes that on for a connection that it makes
step by step. So a second attempt is made, just to read the code. It needs libpq 18, which psycopg's binary wheel
brings, and Linux; elsewhere nothing is read, and `faults` decides without it.
https://www.postgresql.org/docs/current/libpq-control.html#LIBPQ-PQTRACE
"""

import os
import re
import select
import time
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from estimatesync_postgres.faults import Refusal

_SECONDS: Final = 10.0
_TRACE_MAX_BYTES: Final = 65_536
_MESSAGE: Final = re.compile(r"^[FB]\t\d+\t", re.MULTILINE)
_CODE: Final = re.compile(r'^ErrorResponse\t (?:S ".*?" )?(?:V ".*?" )?C "([0-9A-Z]{5})"', re.DOTALL)
_ROUTINE: Final = re.compile(r' R "(\w+)" \\x00\s*$')
_OVER: Final = (pq.PollingStatus.OK, pq.PollingStatus.FAILED)


def read_refusals(parameters: Mapping[str, Any]) -> tuple[Refusal, ...]:
    """Try to connect once more, and return how each server refuses it; nothing where that cannot be read. Blocks."""
    try:
        trace = os.memfd_create("estimatesync-trace")
    except (AttributeError, OSError):
        return ()
    try:
        _connect(make_conninfo("", **parameters), trace)
        return parse_refusals(os.pread(trace, _TRACE_MAX_BYTES, 0).decode(errors="replace"))
    except (psycopg.Error, OSError, ValueError):
        return ()
    finally:
        os.close(trace)


def _connect(conninfo: str, trace: int) -> None:
    """Connect as far as it goes; what libpq writes of it holds the password, and stays in memory.

    Each call leaves the buffer of a closed stream behind: psycopg opens one, and offers no way to close it.
    """
    connection = pq.PGconn.connect_start(conninfo.encode())
    try:
        connection.trace(trace)
        connection.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        deadline = time.monotonic() + _SECONDS
        while (status := connection.connect_poll()) not in _OVER and (left := deadline - time.monotonic()) > 0:
            reading = [connection.socket] if status == pq.PollingStatus.READING else []
            writing = [connection.socket] if status == pq.PollingStatus.WRITING else []
            select.select(reading, writing, [], left)
        connection.untrace()
    finally:
        connection.finish()


def parse_refusals(trace: str) -> tuple[Refusal, ...]:
    """Find the errors that servers have sent, in libpq's trace of a connection."""
    found = [(_CODE.match(message), _ROUTINE.search(message)) for message in _MESSAGE.split(trace)]
    return tuple(
        Refusal(sqlstate=code[1], routine=routine[1] if routine else "") for code, routine in found if code is not None
    )

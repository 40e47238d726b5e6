"""What a forked process begins with, and how it takes that over from the one that it is forked from."""

import json
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

MAX_DESCRIPTORS: Final = 32
LINE_BYTES: Final = 65_536


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a process begins with.

    Attributes:
        command: the whole command line; the first word is the interpreter or a console script.
        descriptors: the numbers under which it has what came with the request, in that order.
        is_session: whether it leads a session of its own.
        is_guarded: whether it runs under guard (`process_guard.py`); the process id is then the guard's.
        shell: what precedes `command` if a shell runs that (`shell_run.py`); the process id is then the shell's.
    """

    command: list[str]
    environment: dict[str, str]
    directory: str
    descriptors: list[int] = field(default_factory=list)
    is_session: bool = False
    is_guarded: bool = False
    shell: list[str] = field(default_factory=list)


def read_start(connection: socket.socket) -> Start:
    """Read it as one line of JSON."""
    line = b""
    while not line.endswith(b"\n"):
        if not (more := connection.recv(LINE_BYTES)):
            raise SystemExit("the process that asked for a start has ended")
        line += more
    return Start(**json.loads(line))


def leave_parent(start: Start) -> None:
    """Leave the signals and the session behind of what this process is forked from."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if start.is_session:
        os.setsid()


def take_descriptors(start: Start, received: Sequence[int]) -> None:
    """Give the descriptors that came with the request their numbers, and close the others up to there."""
    first_free = max(*received, *start.descriptors) + 1
    parked = range(first_free, first_free + len(received))
    for own, number in zip(received, parked, strict=True):
        os.dup2(own, number, inheritable=False)
    os.closerange(0, first_free)
    for own, number in zip(parked, start.descriptors, strict=True):
        os.dup2(own, number)
    os.closerange(first_free, first_free + len(received))

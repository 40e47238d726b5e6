"""Processes that a forked program has ready for what it starts itself, so that this need not import its modules again.

They are forked before the program begins, as its children: what `subprocess` would start is one of them instead, where
`programs.py` says that it makes no difference. Each knows no more of the program than the fork server does. They end
with it, however that ends; once they are used up, starts are as usual.
"""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from estimatesync_processes.programs import Program, find_program
from estimatesync_processes.shell_run import SHELL, WORDS_BEFORE_PROGRAM
from estimatesync_processes.starts import MAX_DESCRIPTORS, Start, leave_parent, read_start, take_descriptors

_NONE: Final = -1
"""How `subprocess` writes that there is no such number."""
_PLAIN: Final = [_NONE, None, None, None, _NONE, None]
"""Neither a group, an account or a umask of its own, nor something that runs before."""


class Spares:
    """The processes that wait, seen from the program."""

    def __init__(self) -> None:
        """Have none yet."""
        self._waiting: list[tuple[int, socket.socket]] = []

    def fork(self, count: int) -> Start | None:
        """Fork that many; return in each, once it is used, what it is to run."""
        for _ in range(count):
            ours, theirs = socket.socketpair()
            pid = os.fork()
            if pid == 0:
                for connection in (ours, *(each for _, each in self._waiting)):
                    connection.close()
                return _wait(theirs)
            theirs.close()
            self._waiting.append((pid, ours))
        return None

    def use(self, start: Start, descriptors: Sequence[int]) -> int | None:
        """Let one run the program, and return its process id once all is its own; None if there is none."""
        while self._waiting:
            pid, connection = self._waiting.pop(0)
            # One that a signal for the group has ended is not asked.
            with connection, suppress(OSError):
                socket.send_fds(connection, [b"+"], descriptors)
                connection.sendall(json.dumps(asdict(start)).encode() + b"\n")
                # It closes its end when its session is its own.
                connection.recv(1)
                return pid
        return None


def _wait(connection: socket.socket) -> Start:
    """Wait to be used, as a process that has nothing of the program's; end with the program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.closerange(3, connection.fileno())
    os.closerange(connection.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    _, received, _, _ = socket.recv_fds(connection, 1, MAX_DESCRIPTORS)
    if not received:
        os._exit(0)
    start = read_start(connection)
    leave_parent(start)
    connection.close()
    take_descriptors(start, received)
    return start


def start_from_spares(program: Program, spares: Spares) -> None:
    """Start the programs that this one starts from its spares, from now on."""
    fork_exec = subprocess._fork_exec  # type: ignore[attr-defined]  # noqa: SLF001 - it makes the process, nothing else

    def start(*arguments: Any) -> int:  # noqa: ANN401 - passed on
        pid = _use(program, spares, arguments)
        return fork_exec(*arguments) if pid is None else pid

    subprocess._fork_exec = start  # type: ignore[attr-defined]  # noqa: SLF001 - the same


def _use(program: Program, spares: Spares, arguments: Sequence[Any]) -> int | None:
    """Do what `fork_exec` would do with these arguments, and return the process id; None if it has to do it."""
    words, _, _, kept, directory, pairs, *more = arguments
    read_end, _, _, write_end, _, error_end, _, report_end, _, is_session, *others = more
    if (
        others[: len(_PLAIN)] != _PLAIN
        or pairs is None
        or directory is None
        or not Path(os.fsdecode(directory)).is_dir()
    ):
        return None
    command = [os.fsdecode(word) for word in words]
    environment = dict(os.fsdecode(pair).split("=", 1) for pair in pairs)
    count = WORDS_BEFORE_PROGRAM if command[:2] == [SHELL, "-c"] else 0
    shell, command = command[:count], command[count:]
    if not command or find_program(command, environment) not in program.starts:
        return None
    standard = [own if end == _NONE else end for own, end in enumerate((read_end, write_end, error_end))]
    passed = [number for number in kept if number != report_end]
    start = Start(
        command=command,
        environment=environment,
        directory=os.fsdecode(directory),
        descriptors=[0, 1, 2, *passed],
        is_session=bool(is_session),
        shell=shell,
    )
    return spares.use(start, [*standard, *passed])

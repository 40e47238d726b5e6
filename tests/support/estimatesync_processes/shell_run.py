"""Lets a shell run what is forked: `/bin/sh -c SCRIPT NAME PROGRAM ARGS…`, as a server of one machine starts its runs.

The shell itself is started as ever. What its script runs as "$@" is a few words of shell that tell the process which
was forked to begin, wait for its end and end with its exit code. That process is of the shell's session and group.
"""

import os
import signal
import socket
from contextlib import suppress
from dataclasses import replace
from typing import Final, NoReturn

from estimatesync_processes.starts import Start

SHELL: Final = "/bin/sh"
WORDS_BEFORE_PROGRAM: Final = 4

# Signals are for the program: whoever waits for it outlasts them.
_CAUGHT: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_STAND_IN: Final = "trap '' HUP INT TERM; echo >&{0}; read code <&{0}; read end <&{0}; exit $code"


def enter_shell(start: Start) -> Start:
    """Become the shell, and return in a process that runs the program once the shell has come to it."""
    shells, ours = socket.socketpair()
    if os.fork():
        ours.close()
        # From then on the program's end will be told, whatever signal the group gets.
        shells.recv(1)
        _become_shell(start, shells)
    shells.close()
    program = os.fork()
    if program == 0:
        with ours:
            # Nothing is read when the shell has ended before.
            if ours.recv(1):
                # As the shell passes it on.
                return replace(start, environment=start.environment | {"PWD": os.path.realpath(start.directory)})
        os._exit(0)
    for number in _CAUGHT:
        signal.signal(number, signal.SIG_IGN)
    ours.send(b"\n")
    os.closerange(0, ours.fileno())
    os.closerange(ours.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
    # A shell that was killed does not listen.
    with suppress(OSError):
        ours.send(b"%d\n" % (128 - code if code < 0 else code))
    os._exit(0)


def _become_shell(start: Start, connection: socket.socket) -> NoReturn:
    # A shell knows descriptors of one digit.
    number = next(each for each in range(9, 3, -1) if each not in {*start.descriptors, connection.fileno()})
    os.dup2(connection.fileno(), number)
    # As `subprocess` does, for a program that is not Python's.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    os.chdir(start.directory)
    os.execve(SHELL, [*start.shell, SHELL, "-c", _STAND_IN.format(number)], start.environment)  # noqa: S606 - no other

"""Runs one program under guard: when the holder of the other end of standard input dies, so does all that it started.

Started by path (`python -I -S process_guard.py PROGRAM ARGS…`) for the cluster's components and for containers; it
therefore imports nothing but the standard library, and little of that, to start in milliseconds. What `fork_server.py`
forks may be under guard, too. Each byte read from standard input is a signal number for the program's process group;
end of file means that the holder is gone, even by SIGKILL. It exits as a shell would: the program's exit code, or 128 +
signal number.

On Linux it adopts orphans (PR_SET_CHILD_SUBREAPER), so that processes which left the group end as well, as they would
with a container. Elsewhere only the process group is ended.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
COMMAND_NOT_FOUND = 127
CAUGHT = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
# How long a killed process may take to disappear before it is looked at again.
REAP_SECONDS = 0.01


def enter_guard() -> None:
    """Fork, and return in the child, which runs the program; this process watches it, and exits as a shell would."""
    wakeups = _catch_signals()
    _control_process(PR_SET_CHILD_SUBREAPER, 1)
    program = os.fork()
    if program == 0:
        _leave(wakeups)
        return
    status = _wait_for_end(program, wakeups[0])
    _end_everything(program)
    os._exit(128 - status if status < 0 else status)


def _catch_signals() -> tuple[int, int]:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    for number in CAUGHT:
        signal.signal(number, lambda *_: None)
    return read_end, write_end


def _leave(wakeups: tuple[int, int]) -> None:
    """Keep nothing of the guard but that this process ends with it."""
    os.setsid()
    _control_process(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    for number in CAUGHT:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for descriptor in wakeups:
        os.close(descriptor)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _control_process(option: int, value: int) -> None:
    """Linux's prctl; nothing where there is none."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def run(command: list[str]) -> NoReturn:
    """Become the program."""
    try:
        os.execvp(command[0], command)  # noqa: S606  no shell is the point: the arguments reach the program as they are
    except OSError as error:
        os.write(2, f"cannot run {command[0]}: {error.strerror}\n".encode())
        os._exit(COMMAND_NOT_FOUND)


def _wait_for_end(program: int, wakeups: int) -> int:
    """Pass signals on until the program ends; return its exit code, negative for the signal that ended it."""
    listening = [0, wakeups]
    while True:
        ready, _, _ = select.select(listening, [], [])
        if wakeups in ready:
            for number in os.read(wakeups, 4096):
                if number != signal.SIGCHLD:
                    _send_signal(program, number)
        if 0 in ready and not _obey_holder(program):
            listening = [wakeups]
        ended, status = os.waitpid(program, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)


def _obey_holder(program: int) -> bool:
    """Send on what the holder wrote; false once it is gone."""
    numbers = os.read(0, 64)
    for number in numbers or bytes([signal.SIGKILL]):
        _send_signal(program, number)
    return bool(numbers)


def _send_signal(program: int, number: int) -> None:
    # The group does not exist yet in the instant between fork and setsid; the program itself always does.
    try:
        os.killpg(program, number)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(program, number)


def _end_everything(program: int) -> None:
    if sys.platform != "linux":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program, signal.SIGKILL)
        return
    while _has_children():
        for process in _read_descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(REAP_SECONDS)


def _has_children() -> bool:
    """Reap what has ended; true while a child, own or adopted, is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _read_descendants(ancestor: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name of the program, in parentheses, may hold anything: the parent's pid follows the last one.
                parent = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    waiting = [ancestor]
    while waiting:
        young = children.get(waiting.pop(), [])
        found.update(young)
        waiting.extend(young)
    return found


if __name__ == "__main__":
    enter_guard()
    run(sys.argv[1:])

"""Starts a component of the cluster under guard (`estimatesync_processes`), with its output in a log file, and ends it.

What the component is, and when it counts as ready, is the caller's business. Also distinguishes one process from a
later one with the same id, by when it started: what a record on disk needs to survive kill -9 and reboots.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from estimatesync_processes.forked_process import StartedProcess, start_program

from estimatesync_cluster.errors import ComponentError, PortTakenError

T = TypeVar("T")

ATTEMPTS = 3
LOG_TAIL_LINES = 15
POLL_SECONDS = 0.05
START_FIELD = 19
STATE_FIELD = 0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_identity(pid: int) -> str | None:
    """Read what is true of this process alone: when it started, in which boot; None when it does not live."""
    return _read_from_proc(pid) if sys.platform == "linux" else _read_from_ps(pid)


def _read_from_proc(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name of the program, in parentheses, may hold anything; the fields follow the last one.
    fields = stat.rpartition(")")[2].split()
    return None if fields[STATE_FIELD] == "Z" else f"{BOOT_ID.read_text().strip()}/{fields[START_FIELD]}"


def _read_from_ps(pid: int) -> str | None:
    answer = subprocess.run(  # noqa: S603  the only argument from outside is a number
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or None


class GuardedProcess:
    """One running component: it ends with this process, however this process ends."""

    def __init__(self, *, name: str, command: list[str], log: Path, environment: Mapping[str, str] | None) -> None:
        """Start it; use `guarded`, which also ends it."""
        self.name = name
        self.log = log
        self._command = command
        self._environment = environment
        self._process = self._start()

    def start_again(self) -> None:
        """Start the same command again, once it has ended: on the same ports, with the same files."""
        self._let_go()
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Process id of the guard; the component is its child."""
        return self._process.pid

    def has_ended(self) -> bool:
        """Whether the component is gone."""
        return self._process.poll() is not None

    @property
    def exit_code(self) -> int | None:
        """As a shell would report it; None while it runs."""
        return self._process.poll()

    def wait_until(self, is_ready: Callable[[], bool], *, seconds: float) -> None:
        """Wait until the component is ready.

        Raises:
            ComponentError: It ended before, or was not ready in time; the end of its log is in the message.
        """
        deadline = time.monotonic() + seconds
        while not is_ready():
            if self.has_ended():
                raise self.build_error("ended while it was starting")
            if time.monotonic() > deadline:
                raise self.build_error(f"was not ready within {seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    def stop(self, *, grace: float) -> None:
        """Send SIGTERM, then after `grace` seconds SIGKILL; return when every process of the component is gone."""
        if grace:
            self._send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=grace)
        self._send_signal(signal.SIGKILL)
        self._process.wait()

    def end(self, *, grace: float) -> None:
        """Stop it for good."""
        self.stop(grace=grace)
        self._let_go()

    def build_error(self, problem: str) -> ComponentError:
        """Build the error for a component that failed, with the end of its log."""
        tail = read_log_tail(self.log)
        kind = PortTakenError if "address already in use" in tail else ComponentError
        return kind(f"{self.name} {problem}. The end of its log ({self.log}):\n{tail}")

    def _start(self) -> StartedProcess:
        with self.log.open("ab") as output:
            return start_program(
                self._command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ if self._environment is None else self._environment,
                start_new_session=True,
                is_guarded=True,
            )

    def _let_go(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _send_signal(self, number: signal.Signals) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(bytes([number]))


def start_on_free_ports(start: Callable[[ExitStack], T], stack: ExitStack) -> T:
    """Start what the stack then ends; again, on other ports, if it has lost one to another program since it was chosen.

    Raises:
        PortTakenError: it lost one each time.
    """
    for _ in range(ATTEMPTS - 1):
        with suppress(PortTakenError):
            return _start_into(stack, start)
    return _start_into(stack, start)


def _start_into(stack: ExitStack, start: Callable[[ExitStack], T]) -> T:
    with ExitStack() as own:
        started = start(own)
        stack.push(own.pop_all())
    return started


def read_log_tail(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    """Read the last lines of a log, or say that there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) or "(empty)"
    except FileNotFoundError:
        return "(none)"


@contextmanager
def guarded(
    name: str, command: list[str], *, log: Path, grace: float = 0, environment: Mapping[str, str] | None = None
) -> Iterator[GuardedProcess]:
    """Run a command under guard for the time of the context; on the way out it has `grace` seconds to end.

    Args:
        name: what its errors call it.
        command: program and arguments; both are visible to every local user.
        log: gets its output.
        grace: seconds.
        environment: its whole environment; this process's own when None.
    """
    component = GuardedProcess(name=name, command=command, log=log, environment=environment)
    try:
        yield component
    finally:
        component.end(grace=grace)

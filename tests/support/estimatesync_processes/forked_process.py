"""Starts a program as `subprocess.Popen` does, and forks it from its server where that makes no difference.

A server is started with the first process of its program. It ends with this process, however that ends.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

from estimatesync_processes.programs import find_program

File = int | IO[Any] | None
"""As `subprocess.Popen` takes it: a descriptor or a file, PIPE, STDOUT, DEVNULL, or None for this process's own."""

PROCESS_GUARD: Final = Path(__file__).with_name("process_guard.py")

_ANSWER_BYTES: Final = 64
_ROOM_BYTES: Final = 16_384
"""For the command line and for the environment of a forked process."""


class ForkServerError(Exception):
    """A server has ended, or did not start; what it said is on standard error."""


@dataclass
class Processor:
    """What the processor has done for forked processes that have ended: those are not children of this one."""

    seconds: float = 0.0


processor: Final = Processor()


class ForkedProcess:
    """A process that a server has forked: what is used of `subprocess.Popen`, with the same meaning.

    Attributes:
        stdin, stdout, stderr: this end of a pipe, where one was asked for: of text if `text` was set, else of bytes.
        returncode: the exit code, negative for the signal that ended it; None until a call has noticed the end.
    """

    def __init__(self, command: Sequence[str], answers: socket.socket, pipes: Mapping[int, IO[Any]]) -> None:
        """Take over what `start_program` has begun."""
        self.args = command
        self.stdin, self.stdout, self.stderr = (pipes.get(number) for number in range(3))
        self.returncode: int | None = None
        self._answers = answers
        self._received = b""
        self._turn = threading.Lock()
        self._readers: list[threading.Thread] = []
        self._outputs: dict[IO[Any] | None, Any] = {}
        self.pid = int(self._read_line(None) or b"0")

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        with self._turn:
            if self.returncode is None and (line := self._read_line(0)):
                code, seconds = line.split()
                self.returncode = int(code)
                self._answers.close()
                processor.seconds += float(seconds)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; subprocess.TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            select.select([self._answers], [], [], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send it, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe:
                pipe.close()
        self.wait()

    def communicate(self, input: str | bytes | None = None, timeout: float | None = None) -> tuple[Any, Any]:  # noqa: A002 - Popen's name
        """Write the input, and return all that comes from the pipes of standard output and error, after the end."""
        if not self._readers:
            pipes = [pipe for pipe in (self.stdout, self.stderr) if pipe]
            self._readers = [threading.Thread(target=self._read_all, args=(pipe,), daemon=True) for pipe in pipes]
            for reader in self._readers:
                reader.start()
        if self.stdin and not self.stdin.closed:
            with self.stdin:
                if input:
                    self.stdin.write(input)
        self.wait(timeout)
        for reader in self._readers:
            reader.join(timeout)
        return self._outputs.get(self.stdout), self._outputs.get(self.stderr)

    def _read_all(self, pipe: IO[Any]) -> None:
        with pipe:
            self._outputs[pipe] = pipe.read()

    def _read_line(self, timeout: float | None) -> bytes | None:
        """Read the next line of the server; None when there is none in time."""
        while b"\n" not in self._received:
            ready, _, _ = select.select([self._answers], [], [], timeout)
            if not ready:
                return None
            more = self._answers.recv(_ANSWER_BYTES)
            if not more:
                raise ForkServerError(f"the server that was to fork {self.args[:3]} has ended")
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        return line


StartedProcess = ForkedProcess | subprocess.Popen[Any]


def start_program(
    command: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] | None = None,
    stdin: File = None,
    stdout: File = None,
    stderr: File = None,
    text: bool = False,
    pass_fds: Sequence[int] = (),
    start_new_session: bool = False,
    is_guarded: bool = False,
) -> StartedProcess:
    """Start a program with the arguments of `subprocess.Popen`: forked if it is one of `programs.py`, else as usual.

    Under guard (`process_guard.py`) the process is the guard, the program its child, and `stdin` tells the guard what
    to do. A pipe for bytes has no buffer.

    Raises:
        OSError: it cannot be started.
        ForkServerError: its server has ended.
    """
    program = find_program(command, env)
    directory = os.path.abspath(cwd or ".")  # noqa: PTH100 - a link stays one
    if program is None or not Path(directory).is_dir():
        return subprocess.Popen(  # noqa: S603 - a test's own command
            [sys.executable, "-I", "-S", PROCESS_GUARD, *command] if is_guarded else command,
            bufsize=-1 if text else 0,
            env=env,
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=text,
            pass_fds=pass_fds,
            start_new_session=start_new_session,
        )
    server = _find_server(program)
    with ExitStack() as stack:
        files = _Files(stack, text=text)
        numbers = [files.open(0, stdin), files.open(1, stdout)]
        numbers.append(numbers[1] if stderr == subprocess.STDOUT else files.open(2, stderr))
        answers, theirs = socket.socketpair()
        stack.enter_context(theirs)
        start = {
            "command": [os.fspath(word) for word in command],
            "environment": dict(env),
            "directory": directory,
            "descriptors": [0, 1, 2, *pass_fds],
            "is_session": start_new_session,
            "is_guarded": is_guarded,
        }
        server.start(theirs.fileno(), *numbers, *pass_fds)
        answers.sendall(json.dumps(start).encode() + b"\n")
        return ForkedProcess([os.fspath(word) for word in command], answers, files.pipes)


def run_program(
    command: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, and return what it has said; subprocess.TimeoutExpired after `timeout` seconds."""
    with start_program(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            said, complained = process.communicate(timeout=timeout)
        finally:
            process.kill()
    return subprocess.CompletedProcess(command, process.wait(), said, complained)


class _Files:
    """What becomes standard input, output and error, until it has been sent."""

    def __init__(self, stack: ExitStack, *, text: bool) -> None:
        self._stack = stack
        self._is_text = text
        self.pipes: dict[int, IO[Any]] = {}

    def open(self, number: int, file: File) -> int:
        if file is None:
            return number
        if file == subprocess.DEVNULL:
            return self._keep(os.open(os.devnull, os.O_RDWR))
        if file == subprocess.PIPE:
            read_end, write_end = os.pipe()
            theirs, ours = (read_end, write_end) if number == 0 else (write_end, read_end)
            mode = "w" if number == 0 else "r"
            self.pipes[number] = os.fdopen(ours, mode) if self._is_text else os.fdopen(ours, f"{mode}b", buffering=0)
            return self._keep(theirs)
        return file if isinstance(file, int) else file.fileno()

    def _keep(self, descriptor: int) -> int:
        self._stack.callback(os.close, descriptor)
        return descriptor


class _Server:
    """One server process."""

    def __init__(self, program: str) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "estimatesync_processes.fork_server", program]
            command += [str(theirs.fileno()), "-" * _ROOM_BYTES]
            # Nothing of this process's environment: what a program finds there is each start's own.
            environment = {"ROOM": "-" * _ROOM_BYTES}
            self._process = subprocess.Popen(  # noqa: S603 - a command of this package
                command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )

    def end(self) -> None:
        """Let it go; what it has forked goes on."""
        self._control.close()
        self._process.wait()

    def start(self, *descriptors: int) -> None:
        socket.send_fds(self._control, [b"+"], descriptors)


_servers: Final[dict[str, _Server]] = {}
_turn: Final = threading.Lock()


def _find_server(program: str) -> _Server:
    with _turn:
        if program not in _servers:
            _servers[program] = _Server(program)
            atexit.register(_servers[program].end)
        return _servers[program]

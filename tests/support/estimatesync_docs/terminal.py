"""A terminal that types the commands of a page: one shell for those that end, one more for each that stays."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

COMMAND_SECONDS: Final = 240.0
STOP_SECONDS: Final = 40.0
_POLL_SECONDS: Final = 0.05


class TypingError(Exception):
    """A command did not come to the end, or to the words, that were waited for; the message holds what it printed."""


class Terminal:
    """One shell, so that what a command exports, or where it goes, holds for the next."""

    def __init__(self, place: Path, environment: Mapping[str, str]) -> None:
        """Open it in a directory, in which it keeps two files of its own."""
        self._typed = place / ".typed"
        self._printed = place / ".printed"
        self._code = 0
        self._shell = subprocess.Popen(
            ["/bin/bash"],
            cwd=place,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def type(self, command: str) -> tuple[str, int]:
        """Run a command to its end.

        Returns:
            What it printed, to both streams, and its exit code.

        Raises:
            TypingError: It took too long, or it ended the shell.
        """
        self._typed.write_text(f"{command}\n")
        guard = threading.Timer(COMMAND_SECONDS, self._kill)
        guard.start()
        try:
            answer = self._ask(f"(exit {self._code}); . {self._typed} >{self._printed} 2>&1 </dev/null; echo $?\n")
        finally:
            guard.cancel()
        printed = self._printed.read_text()
        if not answer:
            raise TypingError(f"{command}\ntook longer than {COMMAND_SECONDS:.0f} s, or ended the shell:\n{printed}")
        self._code = int(answer)
        return printed, self._code

    def close(self) -> None:
        """Leave the shell."""
        self._shell.communicate(timeout=STOP_SECONDS)

    def _ask(self, line: str) -> str:
        if self._shell.stdin is None or self._shell.stdout is None:
            return ""
        self._shell.stdin.write(line)
        self._shell.stdin.flush()
        return self._shell.stdout.readline().strip()

    def _kill(self) -> None:
        os.killpg(self._shell.pid, signal.SIGKILL)


class Standing:
    """A command that stays up, in a shell of its own, until Ctrl-C is pressed there."""

    def __init__(self, command: str, place: Path, environment: Mapping[str, str], *, log: Path) -> None:
        """Start it; what it prints goes to the log."""
        self._command = command
        self._log = log
        with log.open("wb") as output:
            self._shell = subprocess.Popen(  # noqa: S603 - a command of a page of ours
                ["/bin/bash", "-c", command],
                cwd=place,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_for(self, text: str) -> str:
        """Wait until it has said something; returns what it has printed.

        Raises:
            TypingError: It ended before, or took too long.
        """
        deadline = time.monotonic() + COMMAND_SECONDS
        while text not in (printed := self._log.read_text()):
            if self._shell.poll() is not None or time.monotonic() > deadline:
                raise TypingError(f"{self._command}\nnever said {text!r}, but:\n{printed}")
            time.sleep(_POLL_SECONDS)
        return printed

    def interrupt(self) -> None:
        """Press Ctrl-C, and wait for its end."""
        if self._shell.poll() is None:
            os.killpg(self._shell.pid, signal.SIGINT)
        try:
            self._shell.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            os.killpg(self._shell.pid, signal.SIGKILL)
            self._shell.wait()
            raise TypingError(f"{self._command}\ndid not heed Ctrl-C within {STOP_SECONDS:.0f} s") from error

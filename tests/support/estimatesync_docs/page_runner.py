"""Runs the commands of a page, one by one, and checks that each does what the page says.

One shell runs the commands that end, and one more each that stays. Of what the page shows of a command's output, each
line has to appear, in order; more may be printed between. Numbers, times, ids and the width of a column differ from run
to run, and `…` stands for anything. Which id of the page was which one in this run is learnt, so that a later command
of the page can name it.
"""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from estimatesync_docs.console_blocks import Block, Command

SYNC_ID: Final = r"est-[0-9a-z]+(?:-[0-9a-z]+)*"
_NUMBER: Final = r"\d+(?:[.,:]\d+)*"
_SPANS: Final = re.compile(
    rf"(?P<sync>{SYNC_ID})"
    rf"|(?P<any> *…\s*)"
    rf"|(?P<time>\d{{4}}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?)?)"
    rf"|(?P<span>\b{_NUMBER} ?(?:ms|min|[smhd])(?:{_NUMBER}[smh])*\b)"
    rf"|(?P<bar>[━╸╺]+)"
    rf"|(?P<number>{_NUMBER})"
    rf"|(?P<blank>\s+)"
)
_PATTERNS: Final[Mapping[str, str]] = {
    "sync": f"({SYNC_ID})",
    "any": ".*?",
    "time": r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?)?",
    "span": rf"{_NUMBER} ?(?:ms|min|[smhd])(?: ?{_NUMBER} ?[smh])*",
    "bar": r"[━╸╺]+",
    "number": _NUMBER,
    "blank": r"\s+",
}

COMMAND_SECONDS: Final = 240.0
STOP_SECONDS: Final = 40.0
_POLL_SECONDS: Final = 0.05
TOO_EARLY: Final = "There can be a delay between when CustomResourceDefinitions are created"
"""What an API server says whose admission policies do not know a new definition yet: they look every five seconds."""
TOO_EARLY_SECONDS: Final = 60.0

_ASKS_FOR_THE_CODE: Final = "echo $?"


class MissingLine(Exception):  # noqa: N818 - what it says is what is missing
    """A line that the page shows was not printed."""


def find_ids(shown: Sequence[str], printed: Sequence[str]) -> dict[str, str]:
    """Find every shown line among those that were printed.

    Returns:
        What the ids on the page are in this run.

    Raises:
        MissingLine: A line was not printed, or not in this order.
    """
    ids: dict[str, str] = {}
    rest = iter([line.strip() for line in printed])
    for line in (line.strip() for line in shown):
        ids |= _find_line(line, rest) if line else {}
    return ids


def format_command(command: str, ids: Mapping[str, str]) -> str:
    """Write a command of the page with the ids of this run; an id may be cut short, as the page does."""

    def find(found: re.Match[str]) -> str:
        whole = (mine for theirs, mine in ids.items() if theirs.startswith(found[0]))
        return next(whole, found[0])

    return re.sub(SYNC_ID, find, command)


def _find_line(line: str, rest: Iterable[str]) -> dict[str, str]:
    pattern = re.compile(_build_pattern(line))
    for printed in rest:
        if found := pattern.fullmatch(printed):
            return dict(zip(re.findall(SYNC_ID, line), found.groups(), strict=True))
    raise MissingLine(line)


def _build_pattern(line: str) -> str:
    pattern, position = "", 0
    for span in _SPANS.finditer(line):
        pattern += re.escape(line[position : span.start()]) + _PATTERNS[span.lastgroup or ""]
        position = span.end()
    return pattern + re.escape(line[position:])


class TerminalError(Exception):
    """A command did not come to the end, or to the text, that was waited for; the message holds what it printed."""


class Terminal:
    """One shell, so that what a command exports, or where it goes, holds for the next."""

    def __init__(self, place: Path, environment: Mapping[str, str]) -> None:
        """Start it in a directory, in which it keeps two files of its own."""
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

    def run(self, command: str) -> tuple[str, int]:
        """Run a command to its end.

        Returns:
            What it printed, to both streams, and its exit code.

        Raises:
            TerminalError: It took too long, or it ended the shell.
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
            raise TerminalError(f"{command}\ntook longer than {COMMAND_SECONDS:.0f} s, or ended the shell:\n{printed}")
        self._code = int(answer)
        return printed, self._code

    def close(self) -> None:
        """Let the shell end."""
        self._shell.communicate(timeout=STOP_SECONDS)

    def _ask(self, line: str) -> str:
        if self._shell.stdin is None or self._shell.stdout is None:
            return ""
        self._shell.stdin.write(line)
        self._shell.stdin.flush()
        return self._shell.stdout.readline().strip()

    def _kill(self) -> None:
        os.killpg(self._shell.pid, signal.SIGKILL)


class BackgroundCommand:
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
        """Wait until it has printed a text; return everything it has printed.

        Raises:
            TerminalError: It ended before, or took too long.
        """
        deadline = time.monotonic() + COMMAND_SECONDS
        while text not in (printed := self._log.read_text()):
            if self._shell.poll() is not None or time.monotonic() > deadline:
                raise TerminalError(f"{self._command}\nnever printed {text!r}, but:\n{printed}")
            time.sleep(_POLL_SECONDS)
        return printed

    def interrupt(self) -> None:
        """Press Ctrl-C in its shell, and wait for its end."""
        if self._shell.poll() is None:
            os.killpg(self._shell.pid, signal.SIGINT)
        try:
            self._shell.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            os.killpg(self._shell.pid, signal.SIGKILL)
            self._shell.wait()
            raise TerminalError(f"{self._command}\ndid not end within {STOP_SECONDS:.0f} s") from error


class PageError(Exception):
    """A command did something other than the page says; the message says what it printed."""


class PageRunner:
    """Runs blocks of a page in one directory and environment, with free addresses in place of those that pages name.

    On the way out, Ctrl-C ends each command that stays up, the newest first.
    """

    def __init__(self, place: Path, environment: Mapping[str, str], addresses: Mapping[str, str]) -> None:
        """Start the shell.

        Args:
            place: the directory to run in.
            environment: of every command.
            addresses: as the pages write them, and the free ones that stand in for them.
        """
        self._place = place
        self._environment = environment
        self._addresses = addresses
        self._ids: dict[str, str] = {}
        self._terminal = Terminal(place, environment)
        self._background: list[BackgroundCommand] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._background:
            self._background.pop().interrupt()
        self._terminal.close()

    def run(self, block: Block) -> None:
        """Run every command of a block.

        A command must end well, unless the next one asks for its exit code.

        Raises:
            PageError: One did not do what the page says.
            TerminalError: One did not come to its end.
        """
        ending = block.commands[:-1] if block.until else block.commands
        following = (*block.commands[1:], Command(text=""))
        for command, after in zip(ending, following, strict=False):
            self._run(command, may_fail=after.text == _ASKS_FOR_THE_CODE)
        if block.until:
            self._leave_running(block.commands[-1], block.until)

    def _run(self, command: Command, *, may_fail: bool) -> None:
        printed, code = self._terminal.run(self._translate(command.text))
        deadline = time.monotonic() + TOO_EARLY_SECONDS
        while code and TOO_EARLY in printed and time.monotonic() < deadline:
            time.sleep(1)
            printed, code = self._terminal.run(self._translate(command.text))
        observed = f"$ {command.text}\nended with {code} and printed\n{printed}"
        if code and not may_fail:
            raise PageError(observed)
        if command.text == _ASKS_FOR_THE_CODE and printed.split() != " ".join(command.shown).split():
            raise PageError(f"{observed}instead of {command.shown}")
        self._compare(command, printed, observed)

    def _leave_running(self, command: Command, until: str) -> None:
        log = self._place / f".terminal-{len(self._background)}"
        background = BackgroundCommand(self._translate(command.text), self._place, self._environment, log=log)
        self._background.append(background)
        printed = background.wait_for(until)
        self._compare(command, printed, f"$ {command.text}\nprinted\n{printed}")

    def _compare(self, command: Command, printed: str, observed: str) -> None:
        for written, real in self._addresses.items():
            printed = printed.replace(real, written)
        try:
            self._ids |= find_ids(command.shown, printed.splitlines())
        except MissingLine as missing:
            raise PageError(f"{observed}\nbut nowhere the line: {missing}") from missing

    def _translate(self, text: str) -> str:
        for written, real in self._addresses.items():
            text = text.replace(written, real)
        return format_command(text, self._ids)

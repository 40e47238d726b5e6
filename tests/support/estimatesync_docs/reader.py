"""Follows a page as a reader would, command by command, and sees whether each does what the page says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from estimatesync_docs.console_blocks import Block, Command
from estimatesync_docs.shown_output import Missing, find_ids, format_command
from estimatesync_docs.terminal import Standing, Terminal

_ASKS_FOR_THE_CODE: Final = "echo $?"


class ReaderError(Exception):
    """A command did something else than the page says; the message says what it printed."""


class Reader:
    """A person at a desk: a directory, an environment, and addresses in place of those that pages name."""

    def __init__(self, place: Path, environment: Mapping[str, str], addresses: Mapping[str, str]) -> None:
        """Sit down.

        Args:
            place: the directory to type in.
            environment: of every command.
            addresses: as the pages write them, and the free ones that stand in for them.
        """
        self._place = place
        self._environment = environment
        self._addresses = addresses
        self._ids: dict[str, str] = {}
        self._terminal = Terminal(place, environment)
        self._standing: list[Standing] = []

    def __enter__(self) -> Self:
        """Read."""
        return self

    def __exit__(self, *_: object) -> None:
        """Press Ctrl-C in each terminal where something stands, the newest first, and leave."""
        while self._standing:
            self._standing.pop().interrupt()
        self._terminal.close()

    def follow(self, block: Block) -> None:
        """Type every command of a block.

        A command must end well, unless the next one asks for its exit code.

        Raises:
            ReaderError: One did not do what the page says.
            TypingError: One did not come to its end.
        """
        ending = block.commands[:-1] if block.until else block.commands
        following = (*block.commands[1:], Command(text=""))
        for command, after in zip(ending, following, strict=False):
            self._type(command, may_fail=after.text == _ASKS_FOR_THE_CODE)
        if block.until:
            self._leave_standing(block.commands[-1], block.until)

    def _type(self, command: Command, *, may_fail: bool) -> None:
        printed, code = self._terminal.type(self._translate(command.text))
        told = f"$ {command.text}\nended with {code} and printed\n{printed}"
        if code and not may_fail:
            raise ReaderError(told)
        if command.text == _ASKS_FOR_THE_CODE and printed.split() != " ".join(command.shown).split():
            raise ReaderError(f"{told}instead of {command.shown}")
        self._compare(command, printed, told)

    def _leave_standing(self, command: Command, until: str) -> None:
        log = self._place / f".terminal-{len(self._standing)}"
        standing = Standing(self._translate(command.text), self._place, self._environment, log=log)
        self._standing.append(standing)
        printed = standing.wait_for(until)
        self._compare(command, printed, f"$ {command.text}\nprinted\n{printed}")

    def _compare(self, command: Command, printed: str, told: str) -> None:
        for written, real in self._addresses.items():
            printed = printed.replace(real, written)
        try:
            self._ids |= find_ids(command.shown, printed.splitlines())
        except Missing as missing:
            raise ReaderError(f"{told}\nbut nowhere the line: {missing}") from missing

    def _translate(self, text: str) -> str:
        for written, real in self._addresses.items():
            text = text.replace(written, real)
        return format_command(text, self._ids)

"""What a person sees: results go to standard output, progress and errors to standard error.

So a pipe gets the result alone, and `--output json` always gives exactly one document, also for an error.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from estimatesync_client.answers import Sync
from estimatesync_client.errors import ClientError, to_error_object
from estimatesync_client.ports import WaitView
from estimatesync_client.sync_texts import format_outcome, format_progress_line
from estimatesync_client.views import STATUS_STYLES, build_error
from estimatesync_client.wording import format_clock, format_count

_PIPE_WIDTH: Final = 2000
"""Nothing is folded for a program that reads along."""
_STEP_PERCENT: Final = 10


class Output(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


def create_console(*, is_error: bool = False) -> Console:
    """Make a console that reads no markup out of texts, and folds lines for people only."""
    console = Console(stderr=is_error, markup=False, highlight=False, emoji=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(stderr=is_error, markup=False, highlight=False, emoji=False, width=_PIPE_WIDTH)
    return console


class Terminal:
    """The two streams of a program."""

    def __init__(self) -> None:
        """Look at both streams; `output` is set by the command that runs."""
        self.output = Output.TEXT
        self.out = create_console()
        self.err = create_console(is_error=True)

    def write_result(self, shown: RenderableType, document: Any) -> None:  # noqa: ANN401 - any JSON
        """Write what was asked for, in the form that was asked for."""
        if self.output is Output.JSON:
            self._write_json(document)
        else:
            _print(self.out, shown)

    def write_line(self, line: str) -> None:
        """Write a line of somebody else's text as it is."""
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def write_note(self, text: str) -> None:
        """Tell why nothing happens."""
        self.err.print(text, style="dim", soft_wrap=True)

    def write_error(self, error: ClientError) -> None:
        """Tell what did not work."""
        if self.output is Output.JSON:
            self._write_json(to_error_object(error))
        else:
            _print(self.err, build_error(error))

    @contextmanager
    def watching(self) -> Iterator[WaitView]:
        """Show how a sync goes on: a bar in a terminal, lines elsewhere."""
        if not self.err.is_terminal:
            yield LineView(self.err)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[reached]}", markup=False),
            TextColumn("{task.fields[clock]}", style="dim", markup=False),
        )
        with Progress(*columns, console=self.err, refresh_per_second=4) as progress:
            yield BarView(progress)

    def _write_json(self, document: Any) -> None:  # noqa: ANN401 - any JSON
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
        sys.stdout.flush()


class BarView:
    """A WaitView for people: a bar, with what is said meanwhile above it."""

    def __init__(self, progress: Progress) -> None:
        """Begin without knowing how much there is to do."""
        self._progress = progress
        self._began = time.monotonic()
        self._said = ""
        self._task: TaskID = progress.add_task("", total=None, reached="", clock="")

    def show(self, sync: Sync) -> None:
        """Move the bar."""
        told = "" if sync.is_finished else format_outcome(sync)
        if told and told != self._said:
            self._progress.console.print(told, style="dim")
        self._said = told
        progress = sync.progress
        style = STATUS_STYLES.get(sync.status, "")
        self._progress.update(
            self._task,
            description=f"[{style}]{sync.status:<9}[/]" if style else escape(sync.status),
            total=100 if progress or sync.is_finished else None,
            completed=progress.percent if progress else 0,
            reached=_format_reached(sync),
            clock=" " + format_clock(time.monotonic() - self._began),
        )


class LineView:
    """A WaitView for a log: a line whenever there is something to say, and not for every page."""

    def __init__(self, console: Console) -> None:
        """Nothing was said yet."""
        self._console = console
        self._last: tuple[object, ...] = ()

    def show(self, sync: Sync) -> None:
        """Say how far it is, if that has changed enough."""
        step = sync.progress.percent // _STEP_PERCENT if sync.progress else None
        seen = (sync.status, step, sync.reason, sync.message)
        if seen != self._last:
            self._console.print(format_progress_line(sync))
        self._last = seen


def _format_reached(sync: Sync) -> str:
    progress = sync.progress
    if progress is None:
        return ""
    return f"{progress.percent:>3}%  page {progress.text}  {format_count(progress.fetched, 'estimate')}"


def _print(console: Console, shown: RenderableType) -> None:
    """Print without the spaces that a table pads its last column with."""
    with console.capture() as capture:
        console.print(shown)
    for line in capture.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")
    console.file.flush()


def read_now() -> datetime:
    """Read the current time, aware."""
    return datetime.now(UTC)

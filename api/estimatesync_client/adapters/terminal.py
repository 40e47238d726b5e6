"""The terminal, laid out with rich: results go to standard output, progress and errors to standard error.

So a pipe gets only the result, and `--output json` always gives exactly one document, even for an error. Texts are
never parsed as rich's markup: a log line contains `[SYNC]`.
"""

import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from estimatesync_client.core.api import Sync
from estimatesync_client.core.diagnoses import Check, Finding, Verdict
from estimatesync_client.core.errors import ClientError, to_error_object
from estimatesync_client.core.formatting import (
    COLUMNS,
    format_clock,
    format_count,
    format_cure,
    format_fields,
    format_outcome,
    format_progress_line,
    format_row,
    format_sign,
    list_cures,
    shorten_ids,
)
from estimatesync_client.core.waiting import WaitView

STATUS_STYLES: Final = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "queued": "blue",
}
_VERDICT_STYLES: Final = {Verdict.OK: "green", Verdict.FAULT: "red", Verdict.UNKNOWN: "yellow"}
_NARROWER: Final[tuple[frozenset[str], ...]] = (frozenset(), frozenset({"DAYS"}), frozenset({"DAYS", "CALL"}))
"""Which columns a list leaves out where short ids are not enough to fit the terminal; the last one is taken anyhow."""

_BAR_WIDTH: Final = 20
_BAR_TEXT_WIDTH: Final = 58
"""What stands beside a bar: the status, the pages of a large sync, the clock."""
_PIPE_WIDTH: Final = 2000
"""Output to a pipe is never folded."""
_PROGRESS_STEP_PERCENT: Final = 10


def build_table(syncs: Sequence[Sync], now: datetime, *, width: int = 80, has_header: bool = True) -> Group:
    """Build the table of `list`, and below it what to do about what is wrong."""
    columns, *rows = _choose_columns(syncs, now, width=width)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", show_header=has_header)
    for name in columns:
        is_foldable = name in {"ID", "RESULT"}
        table.add_column(name, justify="right" if name == "AGE" else "left", no_wrap=not is_foldable, overflow="fold")
    for row in rows:
        table.add_row(*(Text(text, style=STATUS_STYLES.get(text, "")) for text in row))
    return Group(table, *(_build_cure(f"{reason}: {cure}") for reason, cure in list_cures(syncs).items()))


def _choose_columns(syncs: Sequence[Sync], now: datetime, *, width: int) -> list[tuple[str, ...]]:
    """Choose what fits: ids in full, or their ends, or fewer columns. The names of the columns come first."""
    full = [COLUMNS, *(format_row(sync, now) for sync in syncs)]
    short_ids = {"ID": "ID", **shorten_ids([sync.sync_id for sync in syncs])}
    short = [(short_ids[sync_id], *rest) for sync_id, *rest in full]
    choices = [full, *(_leave_out(short, names) for names in _NARROWER)]
    return next((lines for lines in choices if _measure(lines) <= width), choices[-1])


def _leave_out(lines: Iterable[Sequence[str]], names: Collection[str]) -> list[tuple[str, ...]]:
    kept = [index for index, name in enumerate(COLUMNS) if name not in names]
    return [tuple(line[index] for index in kept) for line in lines]


def _measure(lines: Sequence[Sequence[str]]) -> int:
    """How wide a table of these lines is, with a space between its columns."""
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    return sum(widths) + len(widths) - 1


def build_sync(sync: Sync, now: datetime) -> Group:
    """Build the view of one sync."""
    style = STATUS_STYLES.get(sync.status, "")
    head = _build_grid(2, gap=2)
    head.add_row(Text(f"{format_sign(sync)} {sync.status}", style=f"bold {style}"), Text(format_outcome(sync)))
    fields = _build_grid(2, gap=2)
    for name, text in format_fields(sync, now):
        fields.add_row(Text(f"  {name}", style="dim"), Text(text))
    cure = format_cure(sync)
    # What is said about a sync that is held up includes what to do.
    shown = [Padding(_build_cure(cure), (0, 0, 0, 2))] if cure and cure not in (sync.message or "") else []
    return Group(Text(sync.sync_id, style="bold"), head, *shown, fields)


def build_findings(findings: Iterable[Finding]) -> Table:
    """Build the lines of `doctor`."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()
    # `doctor` prints each finding as a table of its own, as soon as it is known; they must line up.
    table.add_column(min_width=max(map(len, Check)))
    table.add_column(overflow="fold")
    for finding in findings:
        style = _VERDICT_STYLES[finding.verdict]
        table.add_row(Text(finding.verdict.sign, style=f"bold {style}"), Text(str(finding.check)), Text(finding.cause))
        if finding.cure:
            table.add_row("", "", _build_cure(finding.cure))
    return table


def build_error(error: ClientError) -> Table:
    """Build the view of an error."""
    table = _build_grid(2, gap=1)
    message = "The request is refused:" if error.faults else error.message
    table.add_row(Text("✘", style="bold red"), Text(message))
    for fault in error.faults:
        table.add_row("", Text(f"- {fault}"))
    if error.cure:
        table.add_row("", _build_cure(error.cure))
    return table


def build_hint(text: str, hint: str = "") -> Table:
    """Build a line that says that something was done, and what to do next."""
    table = _build_grid(2, gap=1)
    table.add_row(Text("✔", style="bold green"), Text(text))
    if hint:
        table.add_row("", _build_cure(hint))
    return table


def _build_grid(columns: int, *, gap: int) -> Table:
    """A table that folds what is too long for a terminal, such as an address, and cuts nothing."""
    table = Table.grid(padding=(0, gap, 0, 0))
    for _ in range(columns):
        table.add_column(overflow="fold")
    return table


def _build_cure(text: str) -> Table:
    """An arrow, and the text indented next to it."""
    table = _build_grid(2, gap=1)
    table.add_row(Text("→", style="dim"), Text(text, style="dim"))
    return table


class Output(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


def create_console(*, is_error: bool = False) -> Console:
    """Create a console that parses no markup, and folds lines only in a terminal."""
    console = Console(stderr=is_error, markup=False, highlight=False, emoji=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(stderr=is_error, markup=False, highlight=False, emoji=False, width=_PIPE_WIDTH)
    return console


class Terminal:
    """The two streams of a program."""

    def __init__(self) -> None:
        self.output = Output.TEXT
        self.out = create_console()
        self.err = create_console(is_error=True)

    def write_result(self, shown: RenderableType, document: Any) -> None:  # noqa: ANN401 - any JSON
        """Write the result as text or as JSON, by `output`, which the command has set."""
        if self.output is Output.JSON:
            self._write_json(document)
        else:
            _print(self.out, shown)

    def write_line(self, line: str) -> None:
        """Write a line of foreign text as it is."""
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def write_note(self, text: str) -> None:
        """Write why nothing happens for now."""
        self.err.print(text, style="dim", soft_wrap=True)

    def write_error(self, error: ClientError) -> None:
        if self.output is Output.JSON:
            self._write_json(to_error_object(error))
        else:
            _print(self.err, build_error(error))

    @contextmanager
    def listing(self) -> Iterator[Callable[[Sequence[Sync]], None]]:
        """Show a list again and again: in its place in a terminal, elsewhere each sync whenever it has changed."""
        if not self.out.is_terminal:
            yield ListLines(self.out).show
            return
        with Live(console=self.out, auto_refresh=False) as live:
            yield lambda syncs: live.update(build_table(syncs, read_now(), width=self.out.width), refresh=True)

    @contextmanager
    def watching(self) -> Iterator[WaitView]:
        """Show the progress of a sync: a bar in a terminal, lines elsewhere."""
        if not self.err.is_terminal:
            yield LineView(self.err)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=max(1, min(_BAR_WIDTH, self.err.width - _BAR_TEXT_WIDTH))),
            TextColumn("{task.fields[reached]}", markup=False),
            TextColumn("{task.fields[clock]}", style="dim", markup=False),
        )
        with Progress(*columns, console=self.err, refresh_per_second=4) as progress:
            yield BarView(progress)

    def _write_json(self, document: Any) -> None:  # noqa: ANN401 - any JSON
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
        sys.stdout.flush()


class BarView:
    """A WaitView for a terminal: a bar, with messages above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began = time.monotonic()
        self._last_message = ""
        self._task: TaskID = progress.add_task("", total=None, reached="", clock="")

    def show(self, sync: Sync) -> None:
        message = "" if sync.is_finished else format_outcome(sync)
        if message and message != self._last_message:
            self._progress.console.print(message, style="dim")
        self._last_message = message
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
    """A WaitView for a log: a line for each change, but not for every page."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: tuple[object, ...] = ()

    def show(self, sync: Sync) -> None:
        step = sync.progress.percent // _PROGRESS_STEP_PERCENT if sync.progress else None
        seen = (sync.status, step, sync.reason, sync.message)
        if seen != self._last:
            self._console.print(format_progress_line(sync))
        self._last = seen


class ListLines:
    """Writes the rows of a list that are new or have changed, the oldest first."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, tuple[str, ...]] = {}

    def show(self, syncs: Sequence[Sync]) -> None:
        now = read_now()
        rows = {sync.sync_id: format_row(sync, now)[:-1] for sync in syncs}
        changed = [sync for sync in reversed(syncs) if self._last.get(sync.sync_id) != rows[sync.sync_id]]
        if changed:
            _print(self._console, build_table(changed, now, width=self._console.width, has_header=not self._last))
        self._last |= rows


def _format_reached(sync: Sync) -> str:
    progress = sync.progress
    if progress is None:
        return ""
    return f"{progress.percent:>3}%  page {progress.text}  {format_count(progress.fetched, 'estimate')}"


def _print(console: Console, shown: RenderableType) -> None:
    """Print without the trailing spaces of a table's last column."""
    with console.capture() as capture:
        console.print(shown)
    for line in capture.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")
    console.file.flush()


def read_now() -> datetime:
    """Read the current time, in UTC."""
    return datetime.now(UTC)

"""Lays texts out for a terminal with rich: tables, one sync, findings, errors. Draws nothing; `terminal` prints it.

Texts are never read as rich's markup: a log line holds `[SYNC]`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from estimatesync_client.answers import Sync
from estimatesync_client.errors import ClientError
from estimatesync_client.findings import Check, Finding, Verdict
from estimatesync_client.sync_texts import (
    COLUMNS,
    format_fields,
    format_outcome,
    format_row,
    format_sign,
)

STATUS_STYLES: Final = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "queued": "blue",
}
_VERDICT_STYLES: Final = {Verdict.OK: "green", Verdict.FAULT: "red", Verdict.UNKNOWN: "yellow"}
_NUMBERS: Final = frozenset({"PAGES", "NEW", "UPDATED", "AGE"})
_ID_LENGTH: Final = 20
"""A narrow terminal folds ids, but not below this."""


def build_table(syncs: Iterable[Sync], now: datetime) -> Table:
    """Build the table of `list`."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in COLUMNS:
        fold = name == "ID"
        table.add_column(
            name,
            justify="right" if name in _NUMBERS else "left",
            no_wrap=not fold,
            overflow="fold",
            min_width=_ID_LENGTH if fold else None,
        )
    for sync in syncs:
        name, status, *rest = format_row(sync, now)
        table.add_row(Text(name), Text(status, style=STATUS_STYLES.get(status, "")), *(Text(text) for text in rest))
    return table


def build_sync(sync: Sync, now: datetime) -> Group:
    """Build the look at one sync."""
    style = STATUS_STYLES.get(sync.status, "")
    head = Table.grid(padding=(0, 2, 0, 0))
    head.add_row(Text(f"{format_sign(sync)} {sync.status}", style=f"bold {style}"), Text(format_outcome(sync)))
    fields = Table.grid(padding=(0, 2, 0, 0))
    for name, text in format_fields(sync, now):
        fields.add_row(Text(f"  {name}", style="dim"), Text(text))
    return Group(Text(sync.sync_id, style="bold"), head, fields)


def build_findings(findings: Iterable[Finding]) -> Table:
    """Build the lines of `doctor`."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()
    # Each finding may be a table of its own, so that it can be shown at once.
    table.add_column(min_width=max(map(len, Check)))
    table.add_column()
    for finding in findings:
        style = _VERDICT_STYLES[finding.verdict]
        table.add_row(Text(finding.verdict.sign, style=f"bold {style}"), Text(str(finding.check)), Text(finding.cause))
        if finding.cure:
            table.add_row("", "", _build_cure(finding.cure))
    return table


def build_error(error: ClientError) -> Table:
    """Build what is said when something did not work."""
    table = Table.grid(padding=(0, 1, 0, 0))
    message = "The request is refused:" if error.faults else error.message
    table.add_row(Text("✘", style="bold red"), Text(message))
    for fault in error.faults:
        table.add_row("", Text(f"- {fault}"))
    if error.cure:
        table.add_row("", _build_cure(error.cure))
    return table


def build_hint(text: str, hint: str = "") -> Table:
    """Build a line that says that something was done, and how to go on."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_row(Text("✔", style="bold green"), Text(text))
    if hint:
        table.add_row("", _build_cure(hint))
    return table


def _build_cure(text: str) -> Table:
    """An arrow, and the text beside it, also in its second line."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_row(Text("→", style="dim"), Text(text, style="dim"))
    return table

"""What the commands print: sentences for a person, and never the value of a row."""

from collections.abc import Iterable, Sequence
from typing import Final

from estimatesync_import.importing import ImportReport
from estimatesync_import.staging import Problems, StagingFigures

_ACTIONS: Final = (
    ("new", "new"),
    ("changed", "changed: theirs is newer, or the mapping is another one since the last import"),
    ("unchanged", "unchanged: we have it just so"),
    ("kept", "kept: it differs, and ours is newer or came from a sync"),
)


def format_import(report: ImportReport) -> list[str]:
    """Say what was done, or would be, and what stood in the way."""
    staged, problems = report.staged, report.problems
    total = staged.rows + problems.broken_rows + problems.nameless_rows
    lines = [f"{report.label}: {format_count(total, 'row')} read, {format_count(staged.rows, 'row')} can be imported."]
    lines += [f"  {report.actions.get(action, 0):>9,} {words}" for action, words in _ACTIONS]
    lines += format_left_out(staged, problems)
    lines += format_problems(problems)
    return [*lines, _format_end(report)]


def format_problems(problems: Problems) -> Iterable[str]:
    """Name the values that our columns cannot take, the most frequent problem first."""
    for (column, problem), count in problems.counts.most_common():
        where = _name_rows(problems.shown[column, problem], count)
        yield f"! {format_count(count, 'value')} of {column!r} cannot be taken: it {problem}. {where}"


def format_left_out(staged: StagingFigures, problems: Problems) -> Iterable[str]:
    """Say which rows do not count, and which times are odd."""
    if problems.nameless_rows:
        where = _name_rows(problems.nameless_shown, problems.nameless_rows)
        yield f"- {format_count(problems.nameless_rows, 'row')} without an id of Attic Tech: left out. {where}"
    if staged.repeated:
        yield (
            f"- {format_count(staged.repeated, 'estimate')} in more than one row: the newest counts, "
            f"{format_count(staged.surplus, 'row')} besides."
        )
        yield from (f"    Attic Tech id {identity}: rows {', '.join(ids)}" for identity, ids in staged.examples)
    if staged.from_the_future:
        yield (
            f"- {format_count(staged.from_the_future, 'row')} with an at_updated_date that lies ahead: "
            "is old.time_zone right, and is it Attic Tech's updatedAt? The first sync corrects them."
        )


def _format_end(report: ImportReport) -> str:
    if report.is_done:
        ids = "Each has the id of its old row" if report.kept_ids else "Their ids are in imported_estimate"
        skipped = report.problems.broken_rows
        return f"Imported. {ids}." + (f" {format_count(skipped, 'broken row')} skipped." if skipped else "")
    if report.problems.broken_rows:
        broken = format_count(report.problems.broken_rows, "row")
        return f"Nothing was imported: {broken} broken. Correct the mapping or the rows, or run with --skip-broken."
    return "A plan: nothing was imported."


def _name_rows(shown: Sequence[str], count: int) -> str:
    rest = count - len(shown)
    more = f" and {rest:,} more" if rest > 0 else ""
    return f"Old ids: {', '.join(shown)}{more}." if shown else f"Rows: {count:,}."


def format_count(number: int, noun: str) -> str:
    """Write a number of things."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")

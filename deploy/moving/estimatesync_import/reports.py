"""What the commands print. An import's report never holds the value of a row; a comparison's does, if that is wanted.

Values are customers' data: `--ids-only` leaves them out, for a log that others read.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from estimatesync_import.adapters.comparison import DIFFERENT, EQUAL, ONLY_OURS, ONLY_THEIRS, CompareReport, Difference
from estimatesync_import.adapters.merge import ImportReport
from estimatesync_import.adapters.staging import Problems, StagingFigures

_ACTIONS: Final = (
    ("new", "new"),
    ("changed", "changed: theirs is newer, or the mapping has changed since the last import"),
    ("unchanged", "unchanged: ours is equal"),
    ("kept", "kept: it differs, and ours is newer or came from a sync"),
)


def format_import(report: ImportReport) -> list[str]:
    """Format what was done, or would be, and what prevented it."""
    staged, problems = report.staged, report.problems
    total = staged.rows + problems.broken_rows + problems.nameless_rows
    lines = [f"{report.label}: {format_count(total, 'row')} read, {format_count(staged.rows, 'row')} can be imported."]
    lines += [f"  {report.actions.get(action, 0):>9,} {words}" for action, words in _ACTIONS]
    lines += format_left_out(staged, problems)
    lines += format_problems(problems)
    return [*lines, _format_end(report)]


def format_problems(problems: Problems) -> Iterable[str]:
    """Format which values our columns cannot hold, the most frequent problem first."""
    for (column, problem), count in problems.counts.most_common():
        where = _name_rows(problems.shown[column, problem], count)
        yield f"! {format_count(count, 'value')} of {column!r} cannot be imported: it {problem}. {where}"


def format_left_out(staged: StagingFigures, problems: Problems) -> Iterable[str]:
    """Format which rows do not count, and which times are suspicious."""
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
    """Format a number of things."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def format_comparison(report: CompareReport, *, shows_values: bool) -> list[str]:
    """Format what is equal and what is not."""
    found = report.comparison
    states = ", ".join(
        f"{found.states.get(state, 0):,} {state}" for state in (EQUAL, DIFFERENT, ONLY_THEIRS, ONLY_OURS)
    )
    lines = [f"{report.label} and ours: {states}."]
    lines += [f"  {count:>9,} differ in {name}" for name, count in found.columns.items()]
    lines += [f"  {count:>9,} equal in {name} by the mapping's `also`" for name, count in found.accepted.items()]
    lines += format_left_out(report.staged, report.problems)
    lines += format_problems(report.problems)
    lines += [line for one in found.differences for line in _format_difference(one, shows_values=shows_values)]
    rest = sum(count for state, count in found.states.items() if state != EQUAL) - len(found.differences)
    return [*lines, *([f"and {format_count(rest, 'estimate')} more: --limit shows more of them."] if rest else [])]


def _format_difference(difference: Difference, *, shows_values: bool) -> Iterable[str]:
    row = "" if difference.old_id is None else f" (old id {difference.old_id})"
    if difference.state != DIFFERENT:
        yield f"Attic Tech id {difference.identity}{row}: {difference.state}"
        return
    names = ", ".join(name for name, _, _ in difference.columns)
    yield f"Attic Tech id {difference.identity}{row}: {names}"
    if shows_values:
        yield from (f"    {name}: theirs {theirs!r}, ours {ours!r}" for name, theirs, ours in difference.columns)

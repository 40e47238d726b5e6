"""What the commands print: sentences for a person, and never the value of a row."""

from collections.abc import Iterable, Sequence
from typing import Final

from estimatesync_import.importing import ImportReport

_ACTIONS: Final = (
    ("new", "new"),
    ("changed", "changed: theirs is newer, or the mapping is another one since the last import"),
    ("unchanged", "unchanged: we have it just so"),
    ("kept", "kept: it differs, and ours is newer or came from a sync"),
)


def represent_import(report: ImportReport) -> list[str]:
    """Say what was done, or would be, and what stood in the way."""
    staged, problems = report.staged, report.problems
    total = staged.rows + problems.broken_rows + problems.nameless_rows
    lines = [f"{report.label}: {_count(total, 'row')} read, {_count(staged.rows, 'row')} can be imported."]
    lines += [f"  {report.actions.get(action, 0):>9,} {words}" for action, words in _ACTIONS]
    lines += _represent_left_out(report)
    lines += [
        f"! {_count(count, 'value')} of {column!r} cannot be taken: it {problem}. {_name_rows(shown, count)}"
        for (column, problem), count in problems.counts.most_common()
        for shown in (problems.shown[column, problem],)
    ]
    return [*lines, _represent_end(report)]


def _represent_left_out(report: ImportReport) -> Iterable[str]:
    staged, problems = report.staged, report.problems
    if problems.nameless_rows:
        where = _name_rows(problems.nameless_shown, problems.nameless_rows)
        yield f"- {_count(problems.nameless_rows, 'row')} without an id of Attic Tech: left out. {where}"
    if staged.repeated:
        yield (
            f"- {_count(staged.repeated, 'estimate')} in more than one row: the newest counts, "
            f"{_count(staged.surplus, 'row')} besides."
        )
        yield from (f"    Attic Tech id {identity}: rows {', '.join(ids)}" for identity, ids in staged.examples)
    if staged.from_the_future:
        yield (
            f"- {_count(staged.from_the_future, 'row')} with an at_updated_date that lies ahead: "
            "is old.time_zone right, and is it Attic Tech's updatedAt? The first sync corrects them."
        )


def _represent_end(report: ImportReport) -> str:
    if report.is_done:
        ids = "Each has the id of its old row" if report.kept_ids else "Their ids are in imported_estimate"
        skipped = report.problems.broken_rows
        return f"Imported. {ids}." + (f" {_count(skipped, 'broken row')} skipped." if skipped else "")
    if report.problems.broken_rows:
        broken = _count(report.problems.broken_rows, "row")
        return f"Nothing was imported: {broken} broken. Correct the mapping or the rows, or run with --skip-broken."
    return "A plan: nothing was imported."


def _name_rows(shown: Sequence[str], count: int) -> str:
    rest = count - len(shown)
    more = f" and {rest:,} more" if rest > 0 else ""
    return f"Old ids: {', '.join(shown)}{more}." if shown else f"Rows: {count:,}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")

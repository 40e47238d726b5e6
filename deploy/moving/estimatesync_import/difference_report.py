"""What a comparison prints: counts, then the first estimates that differ, with both values if they are wanted.

Values are those of customers: `--ids-only` leaves them out, for a log that others read.
"""

from collections.abc import Iterable

from estimatesync_import.comparing import CompareReport
from estimatesync_import.comparison import DIFFERENT, EQUAL, ONLY_OURS, ONLY_THEIRS, Difference
from estimatesync_import.reports import format_count, format_left_out, format_problems


def format_comparison(report: CompareReport, *, shows_values: bool) -> list[str]:
    """Say what is equal and what is not."""
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

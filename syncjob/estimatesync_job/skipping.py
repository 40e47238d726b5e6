"""Records that cannot become rows: named, counted once each, and too many of them end the sync.

`transfer` shows every answer to it.
"""

from typing import Final

from estimatesync_contract import log_lines

from estimatesync_job.errors import RecordInvalidError
from estimatesync_job.pages import FetchedPage, PlacedProblem, format_place, to_problem_body
from estimatesync_job.ports import Log

NAMED: Final = 10
"""How many are named in the log and the result, which has 4 KB."""


class Skipping:
    """The broken records of one sync, as of their newest version."""

    def __init__(self, log: Log, *, most_percent: int) -> None:
        self._log: Final = log
        self._most_percent: Final = most_percent
        self._problems: Final[dict[str, PlacedProblem]] = {}

    @property
    def count(self) -> int:
        """How many are broken."""
        return len(self._problems)

    @property
    def ids(self) -> tuple[str, ...]:
        """The first of them."""
        return tuple(self._problems)[:NAMED]

    def note(self, page: FetchedPage) -> None:
        """Take note of an answer; a record that was broken and came again as a row has been mended meanwhile."""
        if self._problems:
            for row in page.rows:
                self._problems.pop(str(row.attic_tech_estimate_id), None)
        for placed in page.problems:
            self._note_problem(placed)

    def _note_problem(self, placed: PlacedProblem) -> None:
        problem = placed.problem
        place = f"record {placed.position} on {format_place(placed.page)}"
        name = problem.record_id if problem.has_id else place
        if name not in self._problems and self.count < NAMED:
            message = log_lines.format_skipped(name, f"{problem.field} {problem.problem}", place)
            self._log.write("skipped", message, level="warning", record_id=problem.record_id, page=placed.page)
        self._problems[name] = placed

    def check(self, records: int) -> None:
        """Refuse to leave out more than may be.

        Args:
            records: how many there are, or may be, in all.

        Raises:
            RecordInvalidError: Names the first ones.
        """
        if self.count * 100 <= records * self._most_percent:
            return
        first, *others = self._problems.values()
        also = ", ".join(placed.problem.record_id for placed in others[: NAMED - 1])
        more = f" {len(others)} more are broken: {also}{', …' if len(others) >= NAMED else ''}." if others else ""
        raise RecordInvalidError(f"{to_problem_body(first)}{more}")

    def log_total(self, records: int) -> None:
        """Say at the end what is missing, if anything."""
        if self.count:
            names = ", ".join(self.ids) + (", …" if self.count > NAMED else "")
            message = log_lines.format_skipped_total(self.count, records, names)
            self._log.write("skipped_total", message, level="warning", skipped=self.count, records=records)

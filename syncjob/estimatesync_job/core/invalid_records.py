"""Records that cannot become rows: named, counted once each, and too many of them end the sync.

`transfer` passes every response to it and logs what it returns.
"""

from collections.abc import Iterator
from typing import Final

from estimatesync_job.core.errors import RecordInvalidError
from estimatesync_job.core.fields import is_storable_id
from estimatesync_job.core.pages import FetchedPage, PlacedProblem, format_place, format_problem

MAX_NAMED: Final = 10
"""How many are named in the log and the result, which has 4 KB."""


class InvalidRecords:
    """The invalid records of one sync, as of their newest version."""

    def __init__(self, *, max_percent: int) -> None:
        self._max_percent: Final = max_percent
        self._problems: Final[dict[str, PlacedProblem]] = {}

    @property
    def count(self) -> int:
        return len(self._problems)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The ids that estimates may have, of all of them."""
        return tuple(int(name) for name in self._problems if is_storable_id(name))

    @property
    def ids(self) -> tuple[str, ...]:
        """The first of them."""
        return tuple(self._problems)[:MAX_NAMED]

    def add(self, page: FetchedPage) -> tuple[PlacedProblem, ...]:
        """Add what a response shows, and return those that are to be named in the log.

        A record that was invalid and came again as a row has been corrected meanwhile.
        """
        if self._problems:
            for number in page.rows.ids:
                self._problems.pop(str(number), None)
        return tuple(self._add_problems(page.problems))

    def _add_problems(self, problems: tuple[PlacedProblem, ...]) -> Iterator[PlacedProblem]:
        for placed in problems:
            name = format_name(placed)
            if name not in self._problems and self.count < MAX_NAMED:
                yield placed
            self._problems[name] = placed

    def check(self, records: int) -> None:
        """Refuse to leave out too many.

        Args:
            records: how many records there are, or may be, in all.

        Raises:
            RecordInvalidError: Names the first ones.
        """
        if self.count * 100 <= records * self._max_percent:
            return
        first, *others = self._problems.values()
        also = ", ".join(placed.problem.record_id for placed in others[: MAX_NAMED - 1])
        more = f" {len(others)} more are broken: {also}{', …' if len(others) >= MAX_NAMED else ''}." if others else ""
        raise RecordInvalidError(f"{format_problem(first)}{more}")


def format_name(placed: PlacedProblem) -> str:
    """Name an invalid record by its id, or by its place where it has none."""
    return placed.problem.record_id if placed.problem.has_id else format_problem_place(placed)


def format_problem_place(placed: PlacedProblem) -> str:
    """Say where an invalid record stands."""
    return f"record {placed.position} on {format_place(placed.page)}"

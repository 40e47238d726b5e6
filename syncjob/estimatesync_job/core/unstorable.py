"""Records with a text that the database cannot hold: left out and named, like those that cannot become rows.

A database with another encoding than UTF-8 lacks characters, and refuses a whole COPY for one of them. `transfer` asks
before it stages a page.
"""

from collections.abc import Iterator

import msgspec
from estimatesync_postgres.text_encodings import COMPLETE, can_hold

from estimatesync_job.core.pages import FetchedPage, PlacedProblem
from estimatesync_job.core.rows import RecordProblem, Row, pack_rows


def leave_out_unstorable(page: FetchedPage, *, encoding: str) -> FetchedPage:
    """Turn each row with such a text into a problem; `encoding` is the database's, in PostgreSQL's words."""
    if encoding in COMPLETE:
        return page
    problems = {place: problem for place, row in _find_places(page) if (problem := _find_problem(row, encoding))}
    if not problems:
        return page
    placed = [
        PlacedProblem(page=page.page, position=position, problem=problem) for position, problem in problems.items()
    ]
    return msgspec.structs.replace(
        page,
        rows=pack_rows((row for place, row in _find_places(page) if place not in problems), page.rows.unshown),
        problems=tuple(sorted((*page.problems, *placed), key=lambda each: each.position)),
    )


def _find_places(page: FetchedPage) -> Iterator[tuple[int, Row]]:
    """Give each row its position, which counts from 1: those that are not a problem's, in order."""
    taken = {placed.position for placed in page.problems}
    free = (position for position in range(1, page.records + 1) if position not in taken)
    return zip(free, page.rows, strict=True)


def _find_problem(row: Row, encoding: str) -> RecordProblem | None:
    for field, value in zip(row._fields, row, strict=True):
        if isinstance(value, str) and not can_hold(encoding, value):
            return RecordProblem(
                record_id=str(row.attic_tech_estimate_id),
                has_id=True,
                field=field,
                problem=f"holds a character that the database's encoding, {encoding}, lacks: move to one with UTF8",
            )
    return None

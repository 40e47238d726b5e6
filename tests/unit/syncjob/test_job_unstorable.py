"""A record whose text the database cannot hold is one skipped record, with its place and its cure."""

import json
from datetime import UTC, datetime

from estimatesync_job.core.pages import FetchedPage, PageBody, map_page
from estimatesync_job.core.unstorable import leave_out_unstorable
from msgspec import Raw

NOON = datetime(2025, 10, 16, 12, tzinfo=UTC)


def build_page(*records: dict[str, object]) -> FetchedPage:
    docs = tuple(Raw(json.dumps(record).encode()) for record in records)
    body = PageBody(docs=docs, total_pages=1, page=1, has_next_page=False)
    return map_page(body, page=3, limit=100, size_bytes=1, seconds=0.1, end=NOON)


PAGE = build_page(
    {"id": 9, "name": "Dachstühle"},
    {"id": 8, "name": "broken", "true_cost": "many"},
    {"id": 7, "name": "House", "crew_notes": "🏠"},
    {"id": 6, "name": "12 €"},
    {"id": 5, "name": "plain", "branch": {"name": "Zürich"}},
)


def test_a_database_with_utf8_leaves_the_page_as_it_is() -> None:
    assert leave_out_unstorable(PAGE, encoding="UTF8") is PAGE
    assert leave_out_unstorable(PAGE, encoding="SQL_ASCII") is PAGE


def test_each_record_with_such_a_text_becomes_a_problem_at_its_own_place() -> None:
    page = leave_out_unstorable(PAGE, encoding="LATIN1")

    assert [row.attic_tech_estimate_id for row in page.rows] == [9, 5]
    assert [(each.position, each.problem.record_id, each.problem.field) for each in page.problems] == [
        (2, "8", "true_cost"),
        (3, "7", "crew_notes"),
        (4, "6", "name"),
    ]
    assert page.records == PAGE.records
    assert {each.page for each in page.problems} == {3}
    assert page.problems[1].problem.problem == (
        "holds a character that the database's encoding, LATIN1, lacks: move to one with UTF8"
    )


def test_a_page_that_fits_is_left_as_it_is() -> None:
    page = build_page({"id": 1, "name": "Ñandú"})

    assert leave_out_unstorable(page, encoding="LATIN1") is page

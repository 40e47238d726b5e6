"""Pages of the list join without a gap, cursors of any length survive, and temporary errors say when to retry."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from estimatesync_api.core.listing import Place, build_page, format_cursor, parse_sync_query
from estimatesync_api.core.problems import ApiError, Problem, build_problem_headers
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.spec import EstimateSyncSpec
from estimatesync_contract.status import EstimateSyncStatus

NOON = datetime(2025, 10, 16, 12, tzinfo=UTC)


def build_sync(name: str) -> EstimateSync:
    return EstimateSync(
        metadata=Metadata(name=name, creation_timestamp=NOON), spec=EstimateSyncSpec(), status=EstimateSyncStatus()
    )


@pytest.mark.parametrize("name", [*("x" * length for length in range(1, 9)), "a~?~?~?~?"])
def test_a_cursor_of_any_name_is_read_back(name: str) -> None:
    place = Place(created_at=NOON, name=name)

    cursor = format_cursor(place)

    assert cursor
    assert "=" not in cursor
    assert parse_sync_query({"cursor": cursor}, time_zone=ZoneInfo("UTC")).after == place


@pytest.mark.parametrize("found", [0, 1, 2, 3, 4])
def test_a_page_ends_at_its_last_sync_if_there_are_more(found: int) -> None:
    page = build_page([build_sync(f"est-{number}") for number in range(found)], 3)

    assert [sync.name for sync in page.syncs] == [f"est-{number}" for number in range(min(found, 3))]
    assert page.end == (Place(created_at=NOON, name="est-2") if found == 4 else None)


@pytest.mark.parametrize("problem", list(Problem), ids=lambda problem: problem.name)
def test_what_passes_says_when_to_come_back_and_a_missing_key_how_to_send_one(problem: Problem) -> None:
    headers = build_problem_headers(ApiError(problem, retry_after=7))

    if problem.status in {429, 503, 504}:
        assert headers == {"Retry-After": "7"}
    elif problem is Problem.KEY_MISSING:
        assert headers == {"WWW-Authenticate": 'ApiKey realm="estimatesync"'}
    elif problem is Problem.ENCODING_UNSUPPORTED:
        assert headers == {"Accept-Encoding": "gzip, identity"}
    else:
        assert headers == {}

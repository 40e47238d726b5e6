from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from estimatesync_api.core.listing import Place, Query, SyncQuery, format_cursor, parse_sync_query
from estimatesync_api.core.problems import ApiError
from estimatesync_contract.status import Phase

NEW_YORK = ZoneInfo("America/New_York")
PLACE = Place(created_at=datetime(2025, 10, 16, 12, 0, 0, 123456, tzinfo=UTC), name="est-1")
SHORT_CURSOR = format_cursor(Place(created_at=PLACE.created_at, name="ab"))


def parse(query: Query) -> SyncQuery:
    return parse_sync_query(query, time_zone=NEW_YORK)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2025, 9, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param({}, SyncQuery(), id="nothing"),
        pytest.param({"limit": "", "status": "", "since": "", "cursor": ""}, SyncQuery(), id="items that are blank"),
        pytest.param({}, SyncQuery(limit=20), id="twenty, if nothing is said"),
        pytest.param({"limit": "1"}, SyncQuery(limit=1), id="the least"),
        pytest.param({"limit": "100"}, SyncQuery(limit=100), id="limit"),
        pytest.param({"limit": ["1", "3", "2"]}, SyncQuery(limit=2), id="the last one counts"),
        pytest.param({"status": "running"}, SyncQuery(phases=frozenset({Phase.RUNNING})), id="one status"),
        pytest.param(
            {"status": "queued, running,"}, SyncQuery(phases=frozenset({Phase.QUEUED, Phase.RUNNING})), id="by commas"
        ),
        pytest.param(
            {"status": ["failed", "cancelled"]},
            SyncQuery(phases=frozenset({Phase.FAILED, Phase.CANCELLED})),
            id="repeated",
        ),
        pytest.param({"since": "2025-09-01"}, SyncQuery(since=at(1, 4)), id="from a day's beginning, where we are"),
        pytest.param({"until": "2025-09-01"}, SyncQuery(until=at(2, 4)), id="to a day's end"),
        pytest.param({"since": "2025-09-01T14:00:00Z"}, SyncQuery(since=at(1, 14)), id="an instant"),
        pytest.param({"since": "2025-09-01T14:30:00.000+02:00"}, SyncQuery(since=at(1, 12, 30)), id="with an offset"),
        pytest.param({"since": "2025-09-01T14:00:00 02:00"}, SyncQuery(since=at(1, 12)), id="a plus not escaped"),
        pytest.param({"until": "2025-09-01T14:00"}, SyncQuery(until=at(1, 18)), id="an instant without a zone"),
        pytest.param({"cursor": format_cursor(PLACE) or ""}, SyncQuery(after=PLACE), id="a cursor of ours"),
    ],
)
def test_the_query_says_which_syncs_to_list(query: Query, expected: SyncQuery) -> None:
    assert parse(query) == expected


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({"limit": "0"}, "limit: send a whole number from 1 to 100"),
        ({"limit": "101"}, "limit: send a whole number from 1 to 100"),
        ({"limit": "ten"}, "limit: send a whole number from 1 to 100"),
        ({"limit": "٣"}, "limit: send a whole number from 1 to 100"),
        ({"status": "done"}, "status: done is none of queued, running, succeeded, failed, cancelled"),
        ({"status": "x" * 99}, f"status: {'x' * 40} is none of queued, running, succeeded, failed, cancelled"),
        ({"since": "yesterday"}, "since: send a date like 2025-09-01 or an instant like 2025-09-01T14:00:00Z"),
        ({"since": "2025-02-30"}, "since: send a date like 2025-09-01 or an instant like 2025-09-01T14:00:00Z"),
        ({"until": "9999-12-31"}, "until: send a date like 2025-09-01 or an instant like 2025-09-01T14:00:00Z"),
        ({"until": "2025-09-01T99:00"}, "until: send a date like 2025-09-01 or an instant like 2025-09-01T14:00:00Z"),
        ({"cursor": "x"}, "cursor: send the next_cursor of the page before, or none"),
        ({"cursor": "WyJub3ciLCJhIl0"}, "cursor: send the next_cursor of the page before, or none"),
        ({"cursor": "ä"}, "cursor: send the next_cursor of the page before, or none"),
        ({"stauts": "failed"}, "stauts: unknown parameter"),
        ({"x" * 99: "1"}, f"{'x' * 40}: unknown parameter"),
        ({"cursor": f"{SHORT_CURSOR}!"}, "cursor: send the next_cursor of the page before, or none"),
    ],
)
def test_what_cannot_be_understood_is_named(query: Query, fault: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse(query)

    assert caught.value.faults == (fault,)


def test_all_faults_come_at_once() -> None:
    with pytest.raises(ApiError) as caught:
        parse({"limit": "x", "status": "a,b", "since": "x", "until": "x", "cursor": "x", "y": "x"})

    assert len(caught.value.faults) == 7


def test_there_is_no_cursor_behind_the_last_page() -> None:
    assert format_cursor(None) is None

"""What SCHEDULES may say, and which starts are due."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from estimatesync_local.core.schedules import Schedule, parse_schedules

MADRID = ZoneInfo("Europe/Madrid")
NIGHTLY = Schedule(name="nightly", cron="0 3 * * *")
NIGHT = datetime(2026, 12, 1, 3, tzinfo=MADRID).astimezone(UTC)


def test_entries_are_separated_by_semicolons_and_have_options() -> None:
    text = " nightly 0 3 * * *; weekly  30 4 * * SUN days=400  mode=changes timeZone=America/Chicago ;; "

    assert parse_schedules(text) == (
        NIGHTLY,
        Schedule(
            name="weekly",
            cron="30 4 * * SUN",
            time_zone=ZoneInfo("America/Chicago"),
            body=b'{"days":"400","mode":"changes"}',
        ),
    )
    assert parse_schedules("") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("0 3 * * *", "must give 0 five fields", id="no name"),
        pytest.param("Nightly 0 3 * * *", "must begin each schedule with a name of a-z", id="another name"),
        pytest.param(f"{'n' * 41} 0 3 * * *", "must begin each schedule with a name", id="a long name"),
        pytest.param("nightly", "must give nightly five fields", id="a name alone"),
        pytest.param("nightly 0 3 * * 7", "must give nightly five fields", id="an eighth day"),
        pytest.param("nightly 0 3 31 2 *", "with a day that comes", id="a day that never comes"),
        pytest.param("nightly 0 3 * * * 7", "may give nightly, behind its five fields, days=…", id="a sixth field"),
        pytest.param("nightly 0 3 * * * day=7", "days=…, mode=…, timeZone=… once each", id="an unknown option"),
        pytest.param("nightly 0 3 * * * days=7 days=8", "once each", id="an option twice"),
        pytest.param("nightly 0 3 * * * days=", "once each", id="an option without a value"),
        pytest.param("nightly 0 3 * * * days=week", 'asks for what no sync is: days: "week" is not', id="no number"),
        pytest.param("nightly 0 3 * * * mode=all", "asks for what no sync is: mode", id="no mode"),
        pytest.param("nightly 0 3 * * * timeZone=Mars", "a schedule nightly whose timeZone", id="no time zone"),
        pytest.param("a 0 3 * * *; a 0 4 * * *", "must not have two schedules named a", id="two of one name"),
    ],
)
def test_an_entry_that_could_not_be_kept_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        parse_schedules(text)


@pytest.mark.parametrize(
    ("handled", "now", "due"),
    [
        pytest.param(NIGHT - timedelta(days=1), NIGHT - timedelta(seconds=1), None, id="not yet"),
        pytest.param(NIGHT - timedelta(days=1), NIGHT, NIGHT, id="now"),
        pytest.param(NIGHT - timedelta(days=1), NIGHT + timedelta(minutes=59), NIGHT, id="missed within the hour"),
        pytest.param(NIGHT - timedelta(days=1), NIGHT + timedelta(minutes=61), None, id="missed long ago"),
        pytest.param(NIGHT, NIGHT + timedelta(seconds=5), None, id="done"),
        pytest.param(NIGHT + timedelta(minutes=5), NIGHT + timedelta(minutes=6), None, id="new since then"),
    ],
)
def test_a_start_is_due_from_its_time_until_it_is_made_or_too_old(
    handled: datetime, now: datetime, due: datetime | None
) -> None:
    assert NIGHTLY.find_due(handled=handled, now=now, zone=MADRID) == due


def test_of_several_missed_starts_the_latest_is_made() -> None:
    often = Schedule(name="often", cron="*/10 * * * *")

    due = often.find_due(handled=NIGHT - timedelta(days=9), now=NIGHT + timedelta(minutes=25), zone=MADRID)

    assert due == NIGHT + timedelta(minutes=20)


def test_the_key_is_that_of_the_minute_whatever_the_zone() -> None:
    key = NIGHTLY.build_key(NIGHT)

    assert key == f"schedule/nightly-{int(NIGHT.timestamp()) // 60}"
    assert NIGHTLY.build_key(NIGHT.astimezone(MADRID)) == key != NIGHTLY.build_key(NIGHT + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        pytest.param(
            "30 2 * * *", datetime(2026, 3, 28, 12, tzinfo=MADRID), "2026-03-29T01:00", id="an hour is left out"
        ),
        pytest.param(
            "30 2 * * *", datetime(2026, 10, 24, 12, tzinfo=MADRID), "2026-10-25T00:30", id="an hour comes twice"
        ),
    ],
)
def test_a_change_of_the_clock_neither_drops_nor_doubles_a_night(cron: str, after: datetime, expected: str) -> None:
    first, second = islice(Schedule(name="nightly", cron=cron).iterate_times(after, MADRID), 2)

    assert f"{first:%Y-%m-%dT%H:%M}" == expected
    assert timedelta(hours=23) < second - first < timedelta(hours=26)

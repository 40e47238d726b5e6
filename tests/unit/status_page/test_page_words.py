"""Every language says everything, and says it as its people write."""

import re
import string
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import estimatesync_api.status_page
import pytest
from estimatesync_api.status_page.core.localization import (
    LANGUAGES,
    Localizer,
    choose_time_zone,
    parse_translations,
    read_translations,
)
from estimatesync_contract.spec import DateRange
from estimatesync_contract.status import CallbackState, Phase

PACKAGE = Path(estimatesync_api.status_page.__file__).parent


def list_values(words: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(words) if name is not None}


def test_every_language_has_every_key_and_every_value() -> None:
    english = read_translations()["en"]

    assert set(read_translations()) == set(LANGUAGES)
    for language in LANGUAGES:
        assert read_translations()[language].keys() == english.keys()
        assert {key: list_values(words) for key, words in read_translations()[language].items()} == {
            key: list_values(words) for key, words in english.items()
        }
        blank = {key for key, words in read_translations()[language].items() if not words.strip()}
        assert blank == {"cause.Cancelled.cure"}


def test_a_key_that_one_language_lacks_is_found() -> None:
    translations = parse_translations('[a]\nen = "x"\nes = "y"\n[b]\nen = "z"\n')

    assert translations["en"].keys() - translations["es"].keys() == {"b"}


def test_every_text_that_is_used_is_translated_and_no_other_is() -> None:
    texts = [path.read_text() for path in [*PACKAGE.rglob("*.py"), *PACKAGE.glob("templates/*.html")]]
    asked = {
        found
        for text in texts
        for found in re.findall(r"""["']([a-z_]+(?:\.[A-Za-z_]+)*)["']""", text)
        if found in read_translations()["en"]
    }
    # Made of a part that is fixed and one that is not.
    made = re.compile(
        r"cause\..+|phase\..+|callback\.state\..+|callback\.(delivered|refused|no_answer)|connect\.file\..+|start\.preset\..+|"
        r"connect\.(start|outcome|silence)(_steps)?|timeline\.(succeeded|failed|cancelled)|"
        r"headline\..+|error\..+|flash\..+|list\.now\..+|start\.error\..+|.+\.(one|other)|counts\..+|"
        r"start\.(unanswered|unsure)(_text)?|(cancel|redeliver)\.(title|lead|button|back)"
    )

    assert {key for key in read_translations()["en"].keys() - asked if not made.fullmatch(key)} == set()


@pytest.mark.parametrize("prefix", ["phase", "timeline", "headline"])
def test_every_phase_has_its_words(prefix: str) -> None:
    needed = {Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED} if prefix == "timeline" else set(Phase)

    assert {f"{prefix}.{phase.lower()}" for phase in needed} - read_translations()["en"].keys() == set()


def test_every_state_of_a_callback_has_its_words() -> None:
    needed = {f"callback.state.{state.lower()}" for state in CallbackState}

    assert needed - read_translations()["en"].keys() == set()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, ["0", "0"]),
        (999, ["999", "999"]),
        (1000, ["1,000", "1000"]),
        (-1000, ["-1,000", "-1000"]),
        (9999, ["9,999", "9999"]),
        (10000, ["10,000", "10\N{NARROW NO-BREAK SPACE}000"]),
        (1609, ["1,609", "1609"]),
        (12345, ["12,345", "12\N{NARROW NO-BREAK SPACE}345"]),
    ],
)
def test_numbers_are_grouped_as_people_write_them(
    number: int, said: list[str], english: Localizer, spanish: Localizer
) -> None:
    assert [english.format_number(number), spanish.format_number(number)] == said


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (date(2025, 10, 16), date(2025, 10, 16), "16 Oct 2025"),
        (date(2025, 10, 1), date(2025, 10, 16), "1\N{WORD JOINER}\N{EN DASH}\N{WORD JOINER}16 Oct 2025"),
        (date(2025, 9, 1), date(2025, 10, 16), "1 Sep \N{EN DASH} 16 Oct 2025"),
        (date(2024, 12, 31), date(2025, 1, 1), "31 Dec 2024 \N{EN DASH} 1 Jan 2025"),
    ],
)
def test_days_do_not_repeat_what_both_ends_share(start: date, end: date, expected: str, english: Localizer) -> None:
    said = english.format_date_range(DateRange(start=start, end=end))

    assert said.replace("\N{NO-BREAK SPACE}", " ") == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        *((-3, "0s"), (0, "0s"), (42, "42s"), (59, "59s"), (60, "1m"), (487, "8m7s")),
        *((3599, "59m59s"), (3600, "1h"), (3780, "1h3m"), (90_000, "25h")),
    ],
)
def test_durations_are_written_as_kubectl_shows_them(seconds: int, expected: str, english: Localizer) -> None:
    assert english.format_duration(timedelta(seconds=seconds)) == expected


@pytest.mark.parametrize(
    ("named", "zone", "is_of_browser"),
    [
        *(("Europe/Madrid", "Europe/Madrid", True), ("America/Argentina/Ushuaia", "America/Argentina/Ushuaia", True)),
        *(("UTC", "UTC", True), ("Etc/GMT+5", "Etc/GMT+5", True)),
        *(("", "Asia/Tokyo", False), ("Mars/Olympus", "Asia/Tokyo", False), ("Europe", "Asia/Tokyo", False)),
        *(("../../etc/passwd", "Asia/Tokyo", False), ("/etc/localtime", "Asia/Tokyo", False)),
        ("A" * 300, "Asia/Tokyo", False),
    ],
)
def test_the_zone_is_that_of_the_browser_if_there_is_such_a_zone(named: str, zone: str, *, is_of_browser: bool) -> None:
    chosen, is_it = choose_time_zone(named, ZoneInfo("Asia/Tokyo"))

    assert (chosen.key, is_it) == (zone, is_of_browser)


def test_a_share_is_written_as_people_write_it(english: Localizer, spanish: Localizer) -> None:
    assert [english.format_percent(66), spanish.format_percent(66)] == ["66%", "66\N{NO-BREAK SPACE}%"]


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 runs so far; each"), (1, "1 run so far."), (2, "2 runs so far; each"), (1000, "1,000 runs so far; each")],
)
def test_the_noun_has_the_number_of_its_count(count: int, said: str, english: Localizer) -> None:
    assert english.format_count("timeline.runs", count).startswith(said)


def test_times_are_those_of_the_zone(english: Localizer, spanish: Localizer, now: datetime) -> None:
    moment = datetime(2025, 10, 16, 23, 59, 1, tzinfo=UTC)

    today, yesterday = english.to_moment(moment, now=now), spanish.to_moment(moment, now=now)

    assert (today.instant, today.text) == ("2025-10-16T23:59:01.000Z", "19:59:01")
    assert today.full.replace("\N{NO-BREAK SPACE}", " ") == "16 Oct 2025, 19:59:01 EDT"
    assert yesterday.text == "01:59:01"
    assert spanish.to_moment(moment, now=now + timedelta(days=1)).text == "17\N{NO-BREAK SPACE}oct, 01:59"


def test_every_month_has_its_word(english: Localizer, spanish: Localizer) -> None:
    days = [date(2025, month, 1) for month in range(1, 13)]

    said = [[each.format_day(day).split("\N{NO-BREAK SPACE}")[1] for day in days] for each in (english, spanish)]

    assert said == [
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
        ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"],
    ]

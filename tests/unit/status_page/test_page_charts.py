"""The charts show the numbers that there are."""

from collections.abc import Callable
from dataclasses import astuple
from datetime import datetime, timedelta

import pytest
from estimatesync_api.status_page.core.charts import (
    HEIGHT,
    TOP,
    WIDTH,
    Sample,
    build_chart,
    build_strip,
    build_trends,
    choose_amounts,
    choose_seconds,
)
from estimatesync_api.status_page.core.localization import Localizer
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, CallbackStatus, Results

Make = Callable[..., EstimateSync]


@pytest.mark.parametrize(
    ("most", "expected"),
    [(1, (0, 1)), (4, (0, 1, 2, 3, 4)), (5, (0, 2, 4, 6)), (1609, (0, 500, 1000, 1500, 2000)), (0.2, (0, 1))],
)
def test_amounts_are_round_and_cover_everything(most: float, expected: tuple[float, ...]) -> None:
    assert choose_amounts(most) == expected


@pytest.mark.parametrize(
    ("most", "expected"),
    [(3, (0, 1, 2, 3)), (487, (0, 300, 600)), (7200, (0, 1800 * 2, 7200)), (40, (0, 10, 20, 30, 40))],
)
def test_times_are_counted_as_people_count_them(most: float, expected: tuple[float, ...]) -> None:
    amounts = choose_seconds(most)

    assert amounts[-1] >= most
    assert set(expected) <= set(amounts) | {amounts[-1]}


def test_heights_are_in_proportion_and_bars_stay_inside() -> None:
    samples = [Sample(amounts=(("new", amount),), title=str(amount), label="x") for amount in (50.0, 100.0)]

    chart = build_chart(samples, [(0, "0"), (100, "100")])

    (half,), (whole,) = (bar.slices for bar in chart.bars)
    assert whole.height == pytest.approx(2 * half.height, abs=0.2)
    assert whole.y == TOP
    assert all(0 < bar.x < WIDTH - bar.width for bar in chart.bars)
    assert half.y + half.height == pytest.approx(chart.base, abs=0.2)
    assert chart.base < HEIGHT


def test_parts_of_a_bar_stand_on_each_other_and_nothing_is_drawn_for_nothing() -> None:
    sample = Sample(amounts=(("updated", 60), ("new", 40), ("skipped", 0)), title="", label="")

    (bar,) = build_chart([sample], [(100, "100")]).bars

    updated, new = bar.slices
    assert (updated.tone, new.tone) == ("updated", "new")
    assert new.y + new.height == pytest.approx(updated.y, abs=0.2)


def test_labels_below_many_bars_do_not_overlap() -> None:
    samples = [Sample(amounts=(("new", 1),), title="", label="1 Oct") for _ in range(60)]

    chart = build_chart(samples, [(1, "1")])

    assert len(chart.columns) <= 6


def test_trends_sum_up_by_day_in_the_zone(make_sync: Make, english: Localizer, now: datetime) -> None:
    late = now + timedelta(hours=2)
    syncs = [
        make_sync("running"),
        make_sync("failed", completion_time=late),
        make_sync("succeeded", completion_time=late, duration_seconds=100),
        make_sync("succeeded"),
        make_sync("cancelled"),
    ]

    trends = build_trends(syncs, english)

    assert trends is not None
    assert [(row.day[-13:], row.succeeded, row.failed, row.cancelled, row.new) for row in trends.rows] == [
        ("17\N{NO-BREAK SPACE}Oct\N{NO-BREAK SPACE}2025"[-13:], "1", "1", "0", "45"),
        ("16\N{NO-BREAK SPACE}Oct\N{NO-BREAK SPACE}2025"[-13:], "1", "0", "1", "45"),
    ]
    assert [tile.text for tile in trends.tiles][:2] == ["4", "50%"]
    assert len(trends.durations.bars) == 4
    assert len(trends.counts.bars) == 2


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_trends_say_the_same_in_bars_tiles_and_a_table(make_sync: Make, english: Localizer, now: datetime) -> None:
    given_up = CallbackStatus(state=CallbackState.FAILED, attempts=10)
    days = [now - timedelta(days=2), now - timedelta(days=2), now - timedelta(days=1), now, now]
    syncs = [
        make_sync("succeeded", completion_time=days[0], duration_seconds=60, callback=given_up),
        make_sync("succeeded", completion_time=days[1], duration_seconds=120),
        make_sync("cancelled", completion_time=days[2]),
        make_sync("succeeded", completion_time=days[3], duration_seconds=660),
        make_sync("failed", completion_time=days[4], results=Results(new_estimates=7)),
    ]

    trends = build_trends([make_sync("running"), *reversed(syncs)], english)

    assert trends is not None
    assert [(tile.name, plain(tile.text)) for tile in trends.tiles] == [
        ("Finished", "5"),
        ("Succeeded, of all finished", "60%"),
        ("Typical duration", "2m"),
        ("Longest, failed or not", "11m"),
        ("Callbacks not delivered", "1"),
    ]
    assert [tuple(map(plain, astuple(row))) for row in trends.rows] == [
        ("16 Oct 2025", "1", "1", "0", "11m", "45", "64", "1,500"),
        ("15 Oct 2025", "0", "0", "1", "\N{EN DASH}", "0", "0", "0"),
        ("14 Oct 2025", "2", "0", "0", "1m30s", "90", "128", "3,000"),
    ]
    assert [plain(bar.title) for bar in trends.durations.bars] == [
        "14 Oct 2025, 22:30:15 EDT · Succeeded · 1m",
        "14 Oct 2025, 22:30:15 EDT · Succeeded · 2m",
        "15 Oct 2025, 22:30:15 EDT · Cancelled · 0s",
        "16 Oct 2025, 22:30:15 EDT · Succeeded · 11m",
        "16 Oct 2025, 22:30:15 EDT · Failed · 2s",
    ]
    assert [plain(tick.label) for tick in trends.durations.columns] == [
        "14 Oct",
        "15 Oct",
        "16 Oct",
    ]
    assert [plain(tick.label) for tick in trends.durations.rows] == ["0s", "5m", "10m", "15m"]
    assert [plain(bar.title) for bar in trends.counts.bars] == [
        "14 Oct 2025 · 90 new · 128 changed · 3,000 unchanged",
        "15 Oct 2025 · 0 new · 0 changed · 0 unchanged",
        "16 Oct 2025 · 45 new · 64 changed · 1,500 unchanged",
    ]
    assert [plain(tick.label) for tick in trends.counts.columns] == ["14 Oct", "16 Oct"]


def test_the_durations_are_those_of_the_sixty_newest(make_sync: Make, english: Localizer) -> None:
    trends = build_trends([make_sync("failed")] * 60 + [make_sync("succeeded")], english)

    assert trends is not None
    assert [bar.slices[0].tone for bar in trends.durations.bars] == ["failed"] * 60
    assert trends.tiles[0].text == "61"


@pytest.mark.parametrize(
    ("succeeded", "failed", "cancelled", "share"),
    [(2, 1, 0, "67%"), (1, 2, 0, "33%"), (299, 1, 0, "99%"), (3, 0, 0, "100%"), (7, 0, 1, "88%"), (0, 1, 1, "0%")],
)
def test_the_share_of_successes_is_that_of_all_that_have_ended(
    *, make_sync: Make, english: Localizer, succeeded: int, failed: int, cancelled: int, share: str
) -> None:
    counts = {"succeeded": succeeded, "failed": failed, "cancelled": cancelled}

    trends = build_trends([make_sync(state) for state, count in counts.items() for _ in range(count)], english)

    assert trends is not None
    assert [tile.text for tile in trends.tiles][:2] == [str(succeeded + failed + cancelled), share]


def test_where_all_were_cancelled_none_succeeded_and_there_is_no_duration(make_sync: Make, english: Localizer) -> None:
    trends = build_trends([make_sync("cancelled")], english)

    assert trends is not None
    assert [tile.text for tile in trends.tiles] == ["1", "0%", "\N{EN DASH}", "0s", "0"]
    # A bar that can be seen, though nothing is known of it.
    assert trends.durations.bars[0].slices[0].height == 93.0


def test_where_several_bars_are_of_one_day_their_times_are_told(
    make_sync: Make, english: Localizer, now: datetime
) -> None:
    def label(hours: list[int]) -> list[str]:
        syncs = [make_sync("succeeded", completion_time=now - timedelta(hours=each)) for each in hours]
        trends = build_trends(syncs, english)
        assert trends is not None
        return [plain(tick.label) for tick in trends.durations.columns]

    assert label([0, 1, 2, 3, 4, 5, 6]) == ["16:30", "18:30", "20:30", "22:30"]
    assert label([0, 1, 2, 3, 24, 25, 26, 27]) == ["15 Oct", "21:30", "16 Oct", "21:30"]


def test_the_longest_may_have_failed(make_sync: Make, english: Localizer) -> None:
    trends = build_trends([make_sync("succeeded"), make_sync("failed", duration_seconds=3_000)], english)

    assert trends is not None
    assert trends.tiles[3].text == "50m"


def test_without_an_end_there_is_nothing_to_draw(make_sync: Make, english: Localizer) -> None:
    assert build_trends([make_sync("running")], english) is None
    assert build_strip([make_sync("queued")], english) is None


def test_the_strip_says_in_words_what_it_shows(make_sync: Make, spanish: Localizer) -> None:
    drawn = build_strip([make_sync("failed"), *[make_sync("succeeded")] * 4], spanish)

    assert drawn is not None
    assert drawn[1].startswith("De las últimas 5 sincronizaciones terminadas, 4")
    assert [bar.slices[0].tone for bar in drawn[0].bars] == [*["succeeded"] * 4, "failed"]
    assert build_strip([make_sync("succeeded")] * 4, spanish) is None

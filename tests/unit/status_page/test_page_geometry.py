"""Where exactly the charts draw, and what the forms say: a table for each."""

from collections.abc import Callable
from datetime import date

import pytest
from estimatesync_api.core.problems import ApiError, Problem
from estimatesync_api.status_page.core.charts import (
    ChartBar,
    Sample,
    Slice,
    Tick,
    build_chart,
    build_strip,
    build_trends,
    choose_amounts,
    choose_seconds,
)
from estimatesync_api.status_page.core.error_messages import (
    build_error_page,
    find_start_errors,
    format_sign_in_error,
)
from estimatesync_api.status_page.core.localization import Localizer
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import Results

Make = Callable[..., EstimateSync]


def test_bars_stand_in_the_middle_of_their_slots_and_labels_below_them() -> None:
    samples = [
        Sample(amounts=(("changed", 25.0), ("new", 50.0)), title=f"bar {number}", label=f"day {number}")
        for number in (1, 2)
    ]

    chart = build_chart(samples, [(0, "0"), (50, "50"), (100, "100")])

    slices = (Slice(y=159.5, height=46.5, tone="changed"), Slice(y=66.5, height=93.0, tone="new"))
    assert chart.bars == (
        ChartBar(x=96.2, width=28.0, slices=slices, title="bar 1"),
        ChartBar(x=148.5, width=28.0, slices=slices, title="bar 2"),
    )
    assert chart.rows == (Tick(at=206.0, label="0"), Tick(at=113.0, label="50"), Tick(at=20.0, label="100"))
    assert chart.columns == (Tick(at=110.2, label="day 1"),)
    assert (chart.width, chart.height, chart.left, chart.right, chart.base) == (720, 250, 84, 712, 206)


def test_many_bars_share_the_width_and_leave_gaps() -> None:
    chart = build_chart([Sample(amounts=(("new", 1.0),), title="", label="")] * 60, [(0, "0"), (1, "1")])

    assert (chart.bars[0].x, chart.bars[0].width, chart.bars[-1].x) == (85.3, 7.8, 702.8)
    assert chart.columns == ()


def test_a_chart_without_bars_or_amounts_can_be_drawn() -> None:
    assert build_chart([], []).bars == ()
    assert build_chart([Sample(amounts=(("new", 1.0),), title="", label="")], []).bars[0].slices == (
        Slice(y=20.0, height=186.0, tone="new"),
    )


def test_the_least_amount_can_be_seen() -> None:
    (bar,) = build_chart([Sample(amounts=(("new", 0.001),), title="", label="")], [(100, "100")]).bars

    assert bar.slices[0].height == 1.0
    # At the axis, though it is the only one.
    assert (bar.x, bar.width) == (96.2, 28.0)


@pytest.mark.parametrize(("bars", "labels"), [(1, 1), (6, 3), (7, 4), (12, 6), (13, 5), (60, 6)])
def test_every_so_many_bars_there_is_a_label(bars: int, labels: int) -> None:
    samples = [Sample(amounts=(("new", 1.0),), title="", label=f"{number}") for number in range(bars)]

    columns = build_chart(samples, [(1, "1")]).columns

    assert len(columns) == labels
    assert [int(tick.label) for tick in columns] == list(range(0, bars, -(-max(bars, 12) // 6)))


@pytest.mark.parametrize(
    ("highest", "step"),
    [
        *((4, 1), (5, 2), (8, 2), (9, 5), (20, 5), (21, 10), (40, 10), (41, 15), (60, 15), (61, 30), (120, 30)),
        *((121, 60), (240, 60), (241, 120), (480, 120), (481, 300), (1200, 300), (1201, 600), (2400, 600), (2401, 900)),
        *((3600, 900), (3601, 1800), (7200, 1800), (7201, 3600), (14_400, 3600), (14_401, 7200), (28_800, 7200)),
        *((28_801, 14_400), (57_600, 14_400), (57_601, 28_800), (115_200, 28_800), (115_201, 86_400)),
        (900_000, 86_400),
    ],
)
def test_seconds_are_counted_in_steps_that_people_know(highest: float, step: int) -> None:
    amounts = choose_seconds(highest)

    assert amounts == tuple(step * number for number in range(len(amounts)))
    assert amounts[-2] < highest <= amounts[-1]


@pytest.mark.parametrize(
    ("highest", "amounts"),
    [
        (4, (0, 1, 2, 3, 4)),
        (8, (0, 2, 4, 6, 8)),
        (9, (0, 5, 10)),
        (20, (0, 5, 10, 15, 20)),
        (21, (0, 10, 20, 30)),
        (81, (0, 50, 100)),
        (0, (0, 1)),
    ],
)
def test_amounts_are_counted_in_ones_twos_and_fives(highest: float, amounts: tuple[float, ...]) -> None:
    assert choose_amounts(highest) == amounts


def test_the_bars_of_a_day_are_its_new_and_changed_estimates(make_sync: Make, english: Localizer) -> None:
    syncs = [
        make_sync("succeeded", results=Results(new_estimates=30, updated_estimates=90, unchanged_estimates=20)),
        make_sync("succeeded", results=Results(new_estimates=10, updated_estimates=0)),
        make_sync("failed"),
    ]

    trends = build_trends(syncs, english)

    assert trends
    (bar,) = trends.counts.bars
    assert [(part.tone, part.height) for part in bar.slices] == [("changed", 86.8), ("new", 49.6)]
    assert [tick.label for tick in trends.counts.rows] == ["0", "50", "100", "150"]
    assert [field.text for field in trends.tiles] == [
        "3",
        "67%",
        "8m7s",
        "8m7s",
        "0",
    ]


def test_what_has_not_ended_is_in_no_chart(make_sync: Make, english: Localizer) -> None:
    running = make_sync("running")

    assert build_trends([running], english) is None
    assert build_strip([running], english) is None


def test_a_strip_holds_the_newest_thirty(make_sync: Make, english: Localizer) -> None:
    strip = build_strip([make_sync("succeeded")] * 29 + [make_sync("failed")] * 20, english)

    assert strip
    chart, words = strip
    assert len(chart.bars) == 30
    assert [bar.slices[0].tone for bar in chart.bars].count("failed") == 1
    assert "29" in words


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        pytest.param({}, [], id="default-days"),
        pytest.param({"from": "2025-09-01", "to": "2025-09-01"}, [], id="one-day"),
        pytest.param({"from": " 2025-09-01 ", "to": ""}, [], id="blanks"),
        pytest.param({"from": "1.9.2025"}, [("from", "start.error.start")], id="no-start"),
        pytest.param({"to": "tomorrow"}, [("to", "start.error.end")], id="no-end"),
        pytest.param(
            {"from": "x", "to": "y"}, [("from", "start.error.start"), ("to", "start.error.end")], id="neither"
        ),
        pytest.param({"from": "2025-09-02", "to": "2025-09-01"}, [("from", "start.error.order")], id="order"),
        pytest.param({"from": "2025-09-02", "to": "y"}, [("to", "start.error.end")], id="one-is-no-day"),
        pytest.param({"from": "2025-10-17"}, [], id="today"),
        pytest.param({"from": "2025-10-18"}, [("to", "start.error.today")], id="tomorrow-without-an-end"),
        pytest.param({"from": "2025-10-18", "to": "2025-10-18"}, [], id="tomorrow"),
        pytest.param({"to": "0001-01-01"}, [("to", "start.error.end_range")], id="too-early"),
        pytest.param({"from": "3000-01-01"}, [("from", "start.error.start_range")], id="too-late"),
        pytest.param({"from": "1970-01-01", "to": "2999-12-31"}, [], id="first-and-last"),
    ],
)
def test_each_wrong_day_is_named(fields: dict[str, str], errors: list[tuple[str, str]], english: Localizer) -> None:
    found = find_start_errors(fields, english, today=date(2025, 10, 17))

    range_ = {"first": "1970-01-01", "last": "2999-12-31"}
    assert found == tuple((name, english.translate(key, **range_)) for name, key in errors)


@pytest.mark.parametrize(
    ("problem", "key", "is_temporary"),
    [
        (Problem.NOT_FOUND, "not_found", False),
        (Problem.SYNC_NOT_FOUND, "not_found", False),
        (Problem.UNAVAILABLE, "unavailable", True),
        (Problem.KEYS_UNAVAILABLE, "keys", True),
        (Problem.TOO_MANY_REQUESTS, "too_many", True),
        (Problem.KEY_READ_ONLY, "read_only", False),
        (Problem.INTERNAL_ERROR, "internal", False),
        (Problem.METHOD_NOT_ALLOWED, "method", False),
        (None, "form", False),
    ],
)
def test_a_problem_has_its_page(problem: Problem | None, key: str, is_temporary: bool, english: Localizer) -> None:  # noqa: FBT001 - a column
    page = build_error_page(problem, english, None)

    assert (page.title, page.text) == (english.translate(f"error.{key}"), english.translate(f"error.{key}_text"))
    assert page.is_temporary == is_temporary


def test_a_rare_problem_is_shown_in_the_words_of_the_api(english: Localizer) -> None:
    error = ApiError(Problem.BODY_INCOMPLETE)

    page = build_error_page(Problem.BODY_INCOMPLETE, english, error)

    assert (page.title, page.text, page.is_temporary) == (english.translate("error.refused"), str(error), False)


@pytest.mark.parametrize(
    ("problem", "key"),
    [
        (Problem.KEY_MISSING, "sign_in.missing"),
        (Problem.TOO_MANY_GUESSES, "sign_in.too_many"),
        (Problem.TOO_MANY_REQUESTS, "error.too_many_text"),
        (Problem.KEYS_UNAVAILABLE, "error.keys"),
        (Problem.KEY_WRONG, "sign_in.wrong"),
    ],
)
def test_the_sign_in_form_says_why_a_key_was_not_accepted(problem: Problem, key: str, english: Localizer) -> None:
    error = ApiError(problem, retry_after=9)

    assert format_sign_in_error(error, english) == english.translate(key, seconds=9)

import json
from pathlib import Path

import pytest
from estimatesync_dashboard.picture import (
    Line,
    Panel,
    Query,
    Span,
    build_picture,
    choose_top,
    format_legend,
    format_value,
    parse_panels,
)

ROOT = Path(__file__).parents[3]
DASHBOARD = json.loads((ROOT / "charts" / "estimatesync" / "files" / "dashboard.json").read_text())
SPAN = Span(start=0, end=60)
GRAPH = Panel(title="A < B", kind="timeseries", unit="s", x=0, y=0, width=8, height=7, queries=())
NUMBER = Panel(title="Running", kind="stat", unit="short", x=8, y=0, width=6, height=4, queries=())


def test_every_panel_of_the_dashboard_is_read_with_its_queries() -> None:
    panels = parse_panels(DASHBOARD)

    assert [panel.title for panel in panels] == [panel["title"] for panel in DASHBOARD["panels"]]
    assert panels[0].queries == (
        Query(expression='sum(estimatesync_syncs{namespace=~".*",phase="Running"})', legend="running"),
    )
    assert not [query for panel in panels for query in panel.queries if "$" in query.expression]


def test_no_two_panels_lie_on_each_other() -> None:
    cells = [
        (x, y)
        for panel in parse_panels(DASHBOARD)
        for x in range(panel.x, panel.x + panel.width)
        for y in range(panel.y, panel.y + panel.height)
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_a_series_is_named_by_its_labels() -> None:
    labels = {"phase": "Failed", "reason": "LoginFailed"}

    assert format_legend("{{phase}} {{ reason }}", labels) == "Failed LoginFailed"
    assert format_legend("{{absent}} x", labels) == "x"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        pytest.param(0.0, "s", "0 s", id="nothing"),
        pytest.param(0.25, "s", "250 ms", id="less than a second"),
        pytest.param(487.0, "s", "487 s", id="seconds"),
        pytest.param(1609.4, "short", "1609", id="many"),
        pytest.param(0.5, "short", "0.5", id="few"),
    ],
)
def test_values_are_short(value: float, unit: str, text: str) -> None:
    assert format_value(value, unit) == text


@pytest.mark.parametrize(
    ("most", "top"),
    [
        pytest.param(0, 1, id="nothing"),
        pytest.param(1, 1, id="one"),
        pytest.param(31, 40, id="tens"),
        pytest.param(49_078, 60_000, id="many"),
        pytest.param(0.168, 0.2, id="fractions"),
    ],
)
def test_an_axis_ends_at_a_round_number(most: float, top: float) -> None:
    assert choose_top(most) == pytest.approx(top)


def test_a_graph_spans_its_time_and_its_values() -> None:
    picture = build_picture({GRAPH: [Line(name="50 %", points=((0, 0), (60, 2)))]}, title="t", span=SPAN)

    left_and_low, right_and_high = picture.split('points="')[1].split('"')[0].split()
    assert (left_and_low.split(",")[0], right_and_high.split(",")) == ("46.0", ["348.0", "32.0"])
    assert "A &lt; B" in picture
    assert picture.count(">2 s<") == 1


def test_what_is_not_a_number_is_left_out() -> None:
    points = ((0.0, float("nan")), (30.0, 1.0))

    picture = build_picture({GRAPH: [Line(name="x", points=points)]}, title="t", span=SPAN)

    assert len(picture.split('points="')[1].split('"')[0].split()) == 1
    assert "nan" not in picture


def test_a_number_is_the_newest_one() -> None:
    picture = build_picture({NUMBER: [Line(name="x", points=((0, 1), (60, 3)))]}, title="t", span=SPAN)

    assert ">3</text>" in picture

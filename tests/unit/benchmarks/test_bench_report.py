"""What the benchmark measured becomes a document that lists its missed goals first."""

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from contenders import LIMIT, OURS, PEER
from figures import Setting, Table, compute_rows, find_missed_goals
from picture import build_picture
from report import Part, build_part, build_report, replace_part
from rounds import Load
from scenarios import LoadKind, Scenario

SCENARIO = Scenario(name="S9", records=10, mean_bytes=500, max_seconds=0.5, max_times_limit=1.15, min_times_peer=2.0)
AT = datetime(2025, 10, 16, 14, tzinfo=UTC)


def build_load(
    contender: str, seconds: float, *, load: LoadKind = LoadKind.FIRST, megabytes: float = 50.0, start: float = 0.12
) -> Load:
    return Load(
        contender=contender,
        words="as it is",
        load=load,
        wall_seconds=seconds,
        cpu_seconds=seconds / 2,
        peak_megabytes=megabytes,
        start_seconds=start,
        list_calls=17,
        max_in_flight=4,
    )


def build_table(*loads: Load, scenario: Scenario = SCENARIO) -> Table:
    second = [build_load(name, 1.0, load=LoadKind.CHANGED) for name in (OURS, LIMIT, PEER)]
    settings = [Setting(scenario="S9", page_size=100, concurrency=4, seconds=1.5)]
    return Table(loads={scenario: [*loads, *second]}, settings=settings)


def test_a_row_holds_medians_and_their_ratios() -> None:
    loads = [build_load(name, base + noise) for noise in (0.0, 9.0, 0.2) for name, base in ((OURS, 0.2), (LIMIT, 0.3))]

    row, _ = compute_rows(build_table(*loads, build_load(PEER, 0.8)))

    assert row.seconds == pytest.approx({OURS: 0.4, LIMIT: 0.5, PEER: 0.8})
    assert (row.times_limit, row.times_peer) == pytest.approx((0.8, 2.0))
    assert row.rounds == 3


@pytest.mark.parametrize(
    ("own", "missed"),
    [
        pytest.param(build_load(OURS, 0.4), [], id="all-met"),
        pytest.param(build_load(OURS, 0.49), ["1.22 × limit > 1.15 ×", "1.8 × ahead of dlt < 2.0 ×"], id="ratios"),
        pytest.param(build_load(OURS, 0.45, start=0.42), ["first request after 0.42 s > 0.13 s"], id="slow-start"),
    ],
)
def test_missed_goals_are_named_with_what_was_measured(own: Load, missed: list[str]) -> None:
    row, _ = compute_rows(build_table(own, build_load(LIMIT, 0.4), build_load(PEER, 0.9)))

    assert find_missed_goals(row) == missed


def test_memory_is_a_goal_where_sizes_grow() -> None:
    large = Scenario(name="S4 9k", records=9_000, mean_bytes=500)
    loads = [build_load(OURS, 0.4, megabytes=130.0), build_load(LIMIT, 0.4), build_load(PEER, 0.9)]

    row, _ = compute_rows(build_table(*loads, scenario=large))

    assert find_missed_goals(row) == ["130 MB > 90 MB"]


@pytest.mark.parametrize(
    ("load", "seconds", "missed"),
    [
        pytest.param(LoadKind.UNCHANGED, 0.6, [], id="unchanged"),
        pytest.param(LoadKind.UNCHANGED, 0.7, ["0.70 × every record changed > 0.6 ×"], id="unchanged-but-slow"),
        pytest.param(LoadKind.MOMENT, 0.44, [], id="moment"),
        pytest.param(LoadKind.MOMENT, 0.5, ["1.25 × first load > 1.1 ×"], id="moment-but-slow"),
    ],
)
def test_what_only_the_sync_program_loads_is_held_against_its_other_loads(
    load: LoadKind, seconds: float, missed: list[str]
) -> None:
    scenario = Scenario(name="S9", records=10, mean_bytes=500, max_seconds=0.1, max_times_changed=0.6)
    loads = [build_load(OURS, 0.4), build_load(LIMIT, 0.4), build_load(OURS, seconds, load=load)]

    *_, row = compute_rows(build_table(*loads, scenario=scenario))

    assert (row.load, find_missed_goals(row)) == (load, missed)


def test_the_document_lists_missed_goals_first_and_leaves_no_cell_empty() -> None:
    table = build_table(build_load(OURS, 0.6), build_load(LIMIT, 0.4))

    text = build_report(table, machine="a machine", command="make bench", at=AT, picture="p.svg")

    assert text.index("S9, first load: 0.60 s > 0.5 s") < text.index("## Times")
    assert "| S9 | first load | 0.60 | 0.40 | – | **1.50** | **–** |" in text
    assert "| 100 | 1.50 |" in text
    assert "nan" not in text


def test_the_picture_is_well_formed_and_shows_every_bar() -> None:
    table = build_table(build_load(OURS, 0.6), build_load(LIMIT, 0.4))

    root = ET.fromstring(build_picture(table))  # noqa: S314 - our own text

    texts = [element.text for element in root.iter() if element.text]
    assert {"0.60 (1.50 × limit)", "0.40"} <= set(texts)


def test_each_benchmark_replaces_its_own_part_of_the_page_and_no_other() -> None:
    operator = build_part("The operator", Part.OPERATOR, [("calls", "8", "≤ 8")], machine="m", at=AT)

    page = replace_part("# Performance\n\nold\n", Part.OPERATOR, operator)
    page = replace_part(page, Part.API, "## The API\n\nfirst\n")
    page = replace_part(page, Part.API, "## The API\n\nsecond\n")
    page = replace_part(page, Part.SYNC, "# Performance\n\nnew\n")

    assert page.startswith("# Performance\n\nnew\n\n<!-- make bench-api -->\n## The API\n\nsecond\n\n<!-- ")
    assert page.endswith("| calls | 8 | ≤ 8 |\n")
    assert "old" not in page
    assert page.count("# The API") == page.count("# The operator") == 1

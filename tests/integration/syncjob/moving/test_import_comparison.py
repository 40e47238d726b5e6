"""A shadow run: both backends have synced, and what differs between their tables is printed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from estimatesync_job.core.rows import Row
from sample_attic_tech import Record, RunningSample

Query = Callable[..., list[Any]]
MappingFile = Callable[..., Path]
Run = Callable[..., Any]


@pytest.fixture
def both_synced(
    sample: RunningSample,
    fill: Callable[..., list[Record]],
    camel_case: Callable[[list[Record]], list[Row]],
    mapping_file: MappingFile,
    jobs: Any,
) -> Path:
    """30 estimates in the old table and in ours; the mapping."""
    camel_case(fill(30))
    jobs.run(sample)
    return mapping_file("--table", "crm.estimates")


def test_tables_that_hold_the_same_are_equal_however_the_old_one_rounds_and_cuts(
    both_synced: Path, run_import: Run
) -> None:
    done = run_import("compare", "--mapping", str(both_synced))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "crm.estimates and ours: 30 equal, 0 different, 0 only theirs, 0 only ours.\n"


def test_every_difference_is_counted_and_shown_with_both_values(
    both_synced: Path, run_import: Run, query: Query
) -> None:
    first, second, third = query('SELECT "atticTechId" FROM crm."estimates" ORDER BY 1 LIMIT 3')
    query('UPDATE crm."estimates" SET "name" = %s, "finalPrice" = 1.5 WHERE "atticTechId" = %s', "Old name", first)
    query('DELETE FROM crm."estimates" WHERE "atticTechId" = %s', second)
    query("DELETE FROM botzilla.estimate WHERE attic_tech_estimate_id = %s", third)
    (name, price) = query(
        "SELECT name, final_price::text FROM botzilla.estimate WHERE attic_tech_estimate_id = %s", first
    )[0]

    done = run_import("compare", "--mapping", str(both_synced))

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "crm.estimates and ours: 27 equal, 1 different, 1 only theirs, 1 only ours.",
        "          1 differ in name",
        "          1 differ in final_price",
        f"Attic Tech id {first} (old id 1): name, final_price",
        f"    name: theirs 'Old name', ours {name!r}",
        f"    final_price: theirs '1.50', ours {price!r}",
        f"Attic Tech id {second}: only ours",
        f"Attic Tech id {third} (old id 3): only theirs",
    ]


def test_values_and_further_differences_can_be_left_out(both_synced: Path, run_import: Run, query: Query) -> None:
    query("""UPDATE crm."estimates" SET "customerName" = 'Zoë Quill'""")

    done = run_import("compare", "--mapping", str(both_synced), "--ids-only", "--limit", "2")

    assert "30 differ in customer_name" in done.stdout
    assert "Zoë" not in done.stdout
    assert done.stdout.splitlines()[-1] == "and 28 estimates more: --limit shows more of them."


def test_only_the_days_that_are_asked_for_are_compared(both_synced: Path, run_import: Run, query: Query) -> None:
    query('UPDATE crm."estimates" SET "customerName" = \'another customer\'')
    day, count = query("SELECT max(at_updated_date)::date::text, count(*) FROM botzilla.estimate")[0]
    on_day = query(f"SELECT count(*) FROM botzilla.estimate WHERE at_updated_date >= '{day}'")[0]  # noqa: S608 - a day

    done = run_import("compare", "--mapping", str(both_synced), "--start", day, "--end", day)

    assert 0 < on_day < count
    assert f"0 equal, {on_day} different, 0 only theirs, 0 only ours." in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        pytest.param(", round = 0", "", 1, "differ in price", id="without-rounding"),
        pytest.param('"trueCost", round = 0', '"trueCost", compare = false', 0, "30 equal", id="left-out"),
        pytest.param(
            '"trueCost", round = 0',
            '"finalPrice", also = "final_price"',
            1,
            "28 equal in price by the mapping's `also`",
            id="also",
        ),
    ],
)
def test_the_mapping_says_what_counts_as_equal(
    old: str, new: str, code: int, words: str, both_synced: Path, run_import: Run
) -> None:
    mapping = both_synced.read_text()
    assert old in mapping

    done = run_import("compare", "--mapping", "-", stdin=mapping.replace(old, new))

    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stdout


def test_a_row_that_cannot_be_read_is_not_equal(both_synced: Path, run_import: Run, query: Query) -> None:
    first = query('SELECT "atticTechId" FROM crm."estimates" WHERE "id" = 1')[0]
    query("""UPDATE crm."estimates" SET "finalPrice" = 'NaN' WHERE "id" = 1""")
    query("DELETE FROM botzilla.estimate WHERE attic_tech_estimate_id = %s", first)

    done = run_import("compare", "--mapping", str(both_synced))

    assert done.returncode == 1
    assert "29 equal, 0 different, 0 only theirs, 0 only ours." in done.stdout
    assert "! 1 value of 'finalPrice' cannot be imported: it is not a number. Old ids: 1." in done.stdout


def test_a_comparison_leaves_no_trace(both_synced: Path, run_import: Run, query: Query) -> None:
    before = query("SELECT relname FROM pg_class ORDER BY 1")

    run_import("compare", "--mapping", str(both_synced))

    assert query("SELECT relname FROM pg_class ORDER BY 1") == before


def test_before_the_first_sync_there_is_nothing_to_compare(
    snake_case: Callable[..., None], mapping_file: MappingFile, run_import: Run
) -> None:
    snake_case({"attic_tech_id": "1"})

    done = run_import("compare", "--mapping", str(mapping_file()))

    assert done.returncode == 2
    assert done.stderr == "There are no estimates in schema botzilla yet: let a sync run first, or `run` an import.\n"

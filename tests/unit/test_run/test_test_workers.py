import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from estimatesync_test_run.tiers import OTHER_TIERS, Tier, find_tier, format_row
from estimatesync_test_run.workers import BUSY, LONGEST_FIRST, ONE_BY_ONE, TOGETHER, compute_rank, find_busy

CONFTEST = """
import pathlib, pytest
HAPPENED = pathlib.Path(__file__).with_name("happened")
@pytest.fixture(scope="session", autouse=True)
def cluster(request):
    with HAPPENED.open("a") as file: print("begins", file=file)
    yield
    with HAPPENED.open("a") as file: print("ends", file=file)
@pytest.fixture(autouse=True)
def test(request):
    with HAPPENED.open("a") as file: print(request.node.name, file=file)
"""
SHARED_PROCESS = """
import pytest
from estimatesync_processes.forked_process import processor
@pytest.fixture(scope="session", autouse=True)
def cluster():
    yield
    processor.seconds += 1000
"""
ROOT = Path(__file__).parents[3]
RIGHTS = "tests/e2e/rights/test_refusals_on_cluster.py::test_no_call_is_refused_for_want_of_a_right[api]"


def test_long_tests_come_before_short_ones_and_the_judgement_of_all_comes_last() -> None:
    chart = "tests/e2e/chart/test_chart_on_cluster.py::test_anything"
    unit = "tests/unit/contract/test_status.py::test_anything"

    assert sorted([RIGHTS, unit, chart], key=compute_rank) == [chart, unit, RIGHTS]


def test_the_worker_that_uses_what_the_others_leave_takes_the_first_test_that_waits_for_nothing() -> None:
    product = "tests/e2e/product/test_causes_on_cluster.py::test_anything"

    assert find_busy([product, "tests/unit/test_a.py", "tests/agreement/test_b.py"]) == "tests/unit/test_a.py"
    assert find_busy([product]) is None


def test_what_the_workers_order_goes_by_exists() -> None:
    assert [path for path in (*ONE_BY_ONE, *TOGETHER, *LONGEST_FIRST, *BUSY) if not (ROOT / path).exists()] == []


def test_what_a_group_has_started_ends_with_its_last_test(tmp_path: Path) -> None:
    for test, path in {
        "test_1": "tests/e2e/chart/test_a.py",
        "test_2": "tests/e2e/chart/test_b.py",
        "test_3": "tests/unit/test_c.py",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"def {test}(): pass\n")
    (tmp_path / "conftest.py").write_text(CONFTEST)

    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--numprocesses=1",
            "-pestimatesync_test_run.workers",
            f"--rootdir={tmp_path}",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    happened = (tmp_path / "happened").read_text().split()
    assert happened == ["begins", "test_1", "test_2", "ends", "begins", "test_3", "ends"]


@pytest.mark.parametrize(
    ("nodeid", "tier"),
    [
        ("tests/unit/contract/test_status.py::test_a[b/c::d]", "tests/unit"),
        ("tests/e2e/chart/real_node/test_release_on_node.py::test_a", "tests/e2e/chart"),
        (RIGHTS, "tests/e2e/rights"),
    ],
)
def test_a_tier_is_a_folder_of_tests_and_of_the_end_to_end_tests_each_folder(nodeid: str, tier: str) -> None:
    assert find_tier(nodeid) == tier


def test_a_row_tells_waiting_from_work() -> None:
    tier = Tier(tests={"a", "b"}, failed={"b"}, seconds=61.4, processor_seconds=1.6)

    assert format_row("tests/unit", tier).split() == ["tests/unit", "2", "1", "0", "61", "2"]


def test_every_folder_of_tests_is_run_or_named_as_not_tried() -> None:
    run = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]
    found = {find_tier(str(path.relative_to(ROOT))) for path in (ROOT / "tests").rglob("test_*.py")}

    assert found - {find_tier(f"{path}/any/test_any.py") for path in run} == OTHER_TIERS.keys() - {"tests/e2e/page"}


def test_what_ends_with_the_session_is_no_cost_of_the_tier_that_comes_last(tmp_path: Path) -> None:
    for path in ("tests/unit/test_a.py", "tests/agreement/test_b.py"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text("def test_anything(): pass\n")
    (tmp_path / "conftest.py").write_text(SHARED_PROCESS)

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-pestimatesync_test_run.tiers", f"--rootdir={tmp_path}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    rows = ran.stdout.partition(" tiers ")[2].splitlines()[2:5]
    seconds = {row.split()[0]: int(row.split()[-1]) for row in rows}
    assert seconds["collecting,"] >= 1000
    assert max(seconds["tests/unit"], seconds["tests/agreement"]) < 1000

"""The demos are the README's first promise: they run, and their verdict is worth something."""

import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from estimatesync_demo.sample_environment import Rows
from estimatesync_demo.scenario import Findings, find_differences

ROOT = Path(__file__).parents[3]
GOOD = Findings(
    sync_id="est-1",
    accepted_code=202,
    accepted={"success": True, "status": "processing"},
    status={"status": "succeeded", "results": {"new_estimates": 45, "updated_estimates": 1564}},
    callbacks=(
        {
            "status": "success",
            "sync_id": "est-1",
            "results": {
                "total_fetched": 1609,
                "new_estimates": 45,
                "updated_estimates": 1564,
                "total_processed": 1609,
            },
        },
    ),
    rows=Rows(total=1609, new=45, updated=1564),
)


@pytest.mark.parametrize("stage", ["one-machine", "cluster"])
def test_a_demo_ends_well_and_ends_with_the_numbers(stage: str) -> None:
    began = time.time() - 100
    played = subprocess.run(
        [sys.executable, "-m", "estimatesync_demo", stage, "--began", str(began)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert played.returncode == 0, played.stdout + played.stderr
    assert "HTTP 202 after" in played.stdout
    assert "✓ New: 45, Updated: 1564" in played.stdout
    # The installation before it is part of what a person waits for.
    (minutes,) = re.findall(r"That took (\d+) min \d+ s, from the start of the command", played.stdout)
    assert int(minutes) >= 1
    (next_steps,) = re.findall(r"\nNext.*", played.stdout, re.DOTALL)
    tasks = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"make ([a-z-]+)", next_steps)) <= set(tasks)
    assert all((ROOT / path).exists() for path in re.findall(r"docs/[a-z-]+\.md", next_steps))


def test_a_good_story_has_no_differences() -> None:
    assert find_differences(GOOD) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"accepted_code": 500}, "HTTP status of the POST: expected 202, got 500", id="answer"),
        pytest.param(
            {"status": {"status": "failed"}}, "status of the sync: expected succeeded, got failed", id="status"
        ),
        pytest.param({"callbacks": ()}, "number of callbacks: expected 1, got 0", id="no callback"),
        pytest.param({"callbacks": GOOD.callbacks * 2}, "number of callbacks: expected 1, got 2", id="two callbacks"),
        pytest.param(
            {"callbacks": ({"status": "error"},)}, "status in the callback: expected success", id="wrong callback"
        ),
        pytest.param({"rows": Rows(total=1608, new=45, updated=1563)}, "rows in the database", id="rows"),
    ],
)
def test_a_difference_in_any_source_fails_the_comparison(change: dict[str, Any], words: str) -> None:
    differences = find_differences(replace(GOOD, **change))

    assert any(words in difference for difference in differences), differences

"""The demos are the README's first promise: they run, and their verdict is worth something."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from estimatesync_demo.sample_environment import Rows
from estimatesync_demo.scenario import Findings, find_differences

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
    played = subprocess.run(
        [sys.executable, "-m", "estimatesync_demo", stage], capture_output=True, text=True, timeout=300, check=False
    )

    assert played.returncode == 0, played.stdout + played.stderr
    assert "HTTP 202 after" in played.stdout
    assert "✓ New: 45, Updated: 1564" in played.stdout


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

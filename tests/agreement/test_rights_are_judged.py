"""All that uses rights is run in one session with the judgement of them, which else would be left out."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_everything_that_uses_rights_is_run_together_with_their_judgement() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]

    judged = {"tests/e2e/api", "tests/e2e/chart", "tests/e2e/product", "tests/e2e/rights"}
    assert judged - set(options["testpaths"]) == set()
    assert "\n\t$(BIN)/python -m pytest --numprocesses=$(TEST_WORKERS)\n" in (ROOT / "Makefile").read_text()


def test_what_is_run_on_the_oldest_kubernetes_is_judged_too() -> None:
    task = (ROOT / "Makefile").read_text().partition("OLDEST_TESTS := ")[2].partition(".PHONY")[0]

    assert "tests/e2e/product" in task
    assert "tests/e2e/rights" in task
    assert [path for path in task.replace("\\\n", " ").split() if not (ROOT / path).exists()] == []

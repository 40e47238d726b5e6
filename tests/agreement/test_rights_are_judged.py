"""All that uses rights is run in one session with the judgement of them, which else would be left out."""

import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_everything_that_uses_rights_is_run_together_with_their_judgement() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]

    judged = {"tests/e2e/api", "tests/e2e/chart", "tests/e2e/product", "tests/e2e/rights"}
    assert judged - set(options["testpaths"]) == set()
    assert "\n\t$(BIN)/python -m pytest --numprocesses=$(TEST_WORKERS);" in (ROOT / "Makefile").read_text()


def test_what_is_run_on_the_oldest_kubernetes_is_judged_too() -> None:
    told = subprocess.run(
        ["make", "--dry-run", "test-oldest"],  # noqa: S607 - the developer's own
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    (words,) = (line.split()[4:] for line in told.stdout.splitlines() if " -m pytest " in line)
    paths = [word for word in words if not word.startswith("-")]
    left_out = [word.removeprefix("--deselect=").split("::") for word in words if word.startswith("--deselect=")]
    assert [name for path, name in left_out if f"def {name}(" not in (ROOT / path).read_text()] == []
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert "tests/e2e/product/test_product_on_cluster.py" in paths
    assert paths[-1] == "tests/e2e/rights"

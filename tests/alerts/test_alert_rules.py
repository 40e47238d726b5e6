"""The alert rules under Prometheus' own test tool; beside `make test`, because that tool takes minutes to build."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from estimatesync_cluster.go_tools import PROMTOOL, find_go_tool

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "charts" / "estimatesync" / "files" / "alerts.yaml"


@pytest.fixture(scope="session")
def promtool() -> Path:
    return find_go_tool(PROMTOOL, environ=os.environ, report=lambda line: sys.stderr.write(f"{line}\n"))


def test_each_alert_fires_when_it_should_and_is_silent_when_all_is_well(promtool: Path, tmp_path: Path) -> None:
    rules = RULES.read_text().replace("NAMESPACE", "estimates").replace("RUNBOOKS", "docs/alerts.md")
    (tmp_path / "rules.yaml").write_text(rules)
    shutil.copy(HERE / "alerts_test.yaml", tmp_path)

    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "alerts_test.yaml"]):
        answer = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False)

        assert answer.returncode == 0, answer.stdout + answer.stderr

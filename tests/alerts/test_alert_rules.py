"""The alert rules under Prometheus' own test tool; outside `make test`, because that tool takes minutes to build."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from estimatesync_cluster.programs import PROMTOOL, find_go_tool

HERE = Path(__file__).parent
FILES = HERE.parents[1] / "charts" / "estimatesync" / "files"
RULES = FILES / "alerts.yaml"


@pytest.fixture(scope="session")
def promtool() -> Path:
    return find_go_tool(PROMTOOL, environ=os.environ, report=lambda line: sys.stderr.write(f"{line}\n"))


def test_each_alert_fires_when_it_should_and_is_silent_when_all_is_well(promtool: Path, tmp_path: Path) -> None:
    rules = (
        RULES.read_text()
        .replace("NAMESPACE", "estimates")
        .replace("THRESHOLD", "0")
        .replace("STALE_HOURS", "26")
        .replace("RUNBOOKS", "docs/alerts.md")
    )
    (tmp_path / "rules.yaml").write_text(rules)
    shutil.copy(HERE / "alerts_test.yaml", tmp_path)

    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "alerts_test.yaml"]):
        answer = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False)

        assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_panel_of_the_dashboard_asks_in_prometheus_language(promtool: Path, tmp_path: Path) -> None:
    panels = json.loads((FILES / "dashboard.json").read_text())["panels"]
    asked = [target["expr"].replace("$namespace", "estimates") for panel in panels for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    command = [promtool, "check", "rules", "--lint=none", "rules.yaml"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert len(rules) >= len(panels)

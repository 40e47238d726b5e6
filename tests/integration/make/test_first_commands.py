"""The first commands of `docs/troubleshooting.md` run on one machine, and show the newest sync."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

KEY = "made-up-key-of-this-test"
PAGE = Path(__file__).parents[3] / "docs" / "troubleshooting.md"
COMMANDS = [
    command
    for command in re.findall(r"^\$ (.*)$", PAGE.read_text().partition("## Make.com still")[0], re.MULTILINE)
    if not command.startswith("kubectl")
]


def test_each_of_the_first_commands_for_a_problem_shows_something(machine: Any, callbacks: dict[str, Any]) -> None:
    assert callbacks
    programs = Path(sys.executable).parent
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "ESTIMATESYNC_URL": machine.url,
        "ESTIMATESYNC_API_KEY": KEY,
        "NO_COLOR": "1",
    }

    seen = {
        command: subprocess.run(
            ["bash", "-c", command],  # noqa: S607 - a person's own shell
            cwd=machine.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for command in COMMANDS
    }

    assert len(seen) == 5
    # The newest sync was cancelled, and one before it could not log in: doctor says so with an exit code of its own.
    assert {command for command, each in seen.items() if each.returncode not in {0, 10}} == set()
    assert all(each.stdout.strip() for each in seen.values()), seen
    assert "cancelled" in seen["estimatesync list"].stdout

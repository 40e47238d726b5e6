"""`docs/client.md` shows commands that exist."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from estimatesync_client.command_line import app
from estimatesync_client.core.diagnoses import Check, Diagnosis
from estimatesync_client.core.errors import Exit
from estimatesync_client.settings import CLIENT_SETTINGS, DEFAULT_URL

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text()
SHOWN = re.findall(r"^\$ (?:\.venv/bin/)?estimatesync (\S.*)$", PAGE, re.MULTILINE)


def test_no_two_outcomes_have_the_same_exit_code() -> None:
    assert len({each.code for each in Exit}) == len(Exit)


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_on_the_page_is_understood(line: str, tmp_path: Path) -> None:
    (tmp_path / ".env").touch()
    name, *arguments = shlex.split(line, comments=True)
    group: Any = typer.main.get_command(app)

    command = group.commands[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        context = command.make_context(name, arguments)

    assert context.params


def test_every_command_is_on_the_page() -> None:
    group: Any = typer.main.get_command(app)

    assert {line.split()[0] for line in SHOWN} == set(group.commands)


def test_the_settings_on_the_page_are_those_that_are_read() -> None:
    settings = dict(re.findall(r"^\| `(ESTIMATESYNC_\w+)` \| (\S+) \|", PAGE, re.MULTILINE))

    assert settings == {each.name: f"`{each.default}`" if each.default else "none" for each in CLIENT_SETTINGS}
    assert f"#BIND={DEFAULT_URL.removeprefix('http://')}{os.linesep}" in (ROOT / ".env.example").read_text()


def test_the_lines_of_doctor_on_the_page_are_of_the_table_of_causes() -> None:
    block = PAGE.partition("--env-file .env\n")[2].partition("\n$ ")[0]
    checks = [line[17:] for line in block.splitlines() if line[0] in "✔✘?"]
    patterns = [re.sub(r"\\{\w+\\}", ".+", re.escape(cause.happened)) for cause in Diagnosis]

    assert len(checks) == len(Check)
    assert [line for line in checks if not any(re.fullmatch(pattern, line) for pattern in patterns)] == []

"""`make release` hands on what it is given, word for word: a tag's name may hold what a shell would run."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "evil", ["1.0.0;touch made", "1.0.0$(touch made)", "`touch made`", "$(shell touch made)", "a b"]
)
def test_nothing_of_a_name_is_run(tmp_path: Path, evil: str) -> None:
    programs, installed = tmp_path / "bin", tmp_path / "installed"
    programs.mkdir()
    installed.touch()
    (programs / "python").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (programs / "python").chmod(0o755)
    # As the workflow runs it, in a directory where nothing may appear.
    command = [
        "make",
        "--silent",
        f"--makefile={ROOT}/Makefile",
        "release",
        f"BIN={programs}",
        f"INSTALLED={installed}",
    ]
    given = {"VERSION": evil, "BASE": evil, "BUILDER": evil, "SOURCE": evil, "DRAFT": "1"}
    (tmp_path / "requirements").mkdir()
    for needed in ("requirements/dev.txt", "pyproject.toml"):
        (tmp_path / needed).touch()
        os.utime(tmp_path / needed, (0, 0))

    printed = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **given}, check=True, capture_output=True, text=True
    ).stdout

    assert printed.splitlines() == [
        *("-m", "estimatesync_release", "--base", evil, "--draft", "--builder", evil, "--source", evil, "--", evil)
    ]
    assert not (tmp_path / "made").exists()

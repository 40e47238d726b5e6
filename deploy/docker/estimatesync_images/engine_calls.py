"""Runs the engines' command lines in the root of the checkout. Called by main.py and base_image.py.

commands.py builds the command lines.
"""

import os
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
CHECK_SECONDS: Final = 30.0
LAST_LINES: Final = 15
SETTINGS: Final = {"DOCKER_BUILDKIT": "1"}
"""Up to version 22, docker builds without BuildKit unless this requests it, and then does not support build secrets."""


class ImageError(Exception):
    """An image could not be built; the message says what to do."""


def run_program(command: list[str]) -> None:
    """Run a command.

    Raises:
        ImageError: it failed; the message ends with the last lines of its output.
    """
    read_output(command)


def read_output(command: list[str], *, stdin: str | None = None) -> str:
    """Run a command, and return what it prints.

    Raises:
        ImageError: it failed; the message ends with the last lines of its output.
    """
    finished = subprocess.run(  # noqa: S603 - built in this package
        command, cwd=ROOT, env=os.environ | SETTINGS, input=stdin, capture_output=True, text=True, check=False
    )
    if finished.returncode:
        tail = "\n".join((finished.stdout + finished.stderr).strip().splitlines()[-LAST_LINES:])
        raise ImageError(f"`{' '.join(command[:2])}` failed:\n{tail}")
    return finished.stdout


def is_successful(command: list[str], seconds: float = CHECK_SECONDS) -> bool:
    """Run a command, and return whether it succeeds in time."""
    try:
        return not subprocess.run(command, capture_output=True, timeout=seconds, check=False).returncode  # noqa: S603 - built in this package
    except subprocess.TimeoutExpired:
        return False

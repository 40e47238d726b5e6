"""Runs the engines' command lines in the root of the checkout. Called by main.py and base_image.py.

Which command lines there are is the business of commands.py.
"""

import os
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
ASK_SECONDS: Final = 30.0
LAST_LINES: Final = 15
SETTINGS: Final = {"DOCKER_BUILDKIT": "1"}
"""Up to version 22, docker builds without BuildKit unless it is asked for it, and then knows no secrets of a build."""


class ImageError(Exception):
    """An image could not be built; the message says what to do."""


def run_program(command: list[str]) -> None:
    """Run a command.

    Raises:
        ImageError: it failed; the message ends with its last words.
    """
    read_output(command)


def read_output(command: list[str], *, stdin: str | None = None) -> str:
    """Run a command, and return what it prints.

    Raises:
        ImageError: it failed; the message ends with its last words.
    """
    answer = subprocess.run(  # noqa: S603 - built in this package
        command, cwd=ROOT, env=os.environ | SETTINGS, input=stdin, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        tail = "\n".join((answer.stdout + answer.stderr).strip().splitlines()[-LAST_LINES:])
        raise ImageError(f"`{' '.join(command[:2])}` failed:\n{tail}")
    return answer.stdout


def is_successful(command: list[str], seconds: float = ASK_SECONDS) -> bool:
    """Run a command, and tell whether it succeeds in time."""
    try:
        return not subprocess.run(command, capture_output=True, timeout=seconds, check=False).returncode  # noqa: S603 - built in this package
    except subprocess.TimeoutExpired:
        return False

"""Compiles the control plane's programs from their Go modules, and says how far it is.

Called by binaries.py, which owns the cache. The first build takes minutes; Go's build cache makes the next one short,
also after an interruption.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from estimatesync_cluster.errors import BuildError
from estimatesync_cluster.go_toolchain import find_go
from estimatesync_cluster.programs import PROGRAMS, Program, build_go_command, parse_go_version

Report = Callable[[str], None]
PROGRESS_SECONDS = 10
STDERR_LINES = 15


def build_programs(*, sources: Path, output: Path, cache: Path, git_version: str, report: Report) -> None:
    """Compile every program into `output`.

    Raises:
        ToolMissingError: no Go compiler.
        BuildError: the compiler failed; the message ends with its last words.
    """
    needed = max(parse_go_version((sources / each.module / "go.mod").read_text()) for each in PROGRAMS)
    go = find_go(needed=needed, cache=cache, report=report)
    for number, program in enumerate(PROGRAMS, start=1):
        command = build_go_command(program, go=str(go), git_version=git_version, output=str(output / program.name))
        title = f"building {program.name} ({number} of {len(PROGRAMS)})"
        compile_program(command, directory=sources / program.module, program=program, title=title, report=report)


def compile_program(command: list[str], *, directory: Path, program: Program, title: str, report: Report) -> None:
    """Run one command of the compiler, and say how far it is.

    Raises:
        BuildError: the compiler failed; the message ends with its last words.
    """
    started = time.monotonic()
    report(f"{title} from source; the first build takes some minutes")
    with subprocess.Popen(  # noqa: S603  the command is built from constants of this package
        command, cwd=directory, env=_build_environment(), stderr=subprocess.PIPE, text=True
    ) as compiler:
        try:
            errors = _wait(compiler, lambda: report(f"{title}: {time.monotonic() - started:.0f} s"))
        except BaseException:
            compiler.kill()
            raise
    if compiler.returncode:
        tail = "\n".join(errors.strip().splitlines()[-STDERR_LINES:])
        raise BuildError(f"Building {program.name} failed; running it again goes on where it ended.\n{tail}")
    report(f"{title}: done in {time.monotonic() - started:.0f} s")


def _build_environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


def _wait(compiler: subprocess.Popen[str], show_progress: Callable[[], None]) -> str:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return compiler.communicate(timeout=PROGRESS_SECONDS)[1]
        show_progress()

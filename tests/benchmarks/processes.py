"""Starts programs: servers that run during the measurements, and contenders whose whole life is measured."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

_KILOBYTES_PER_MEGABYTE = 1024


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a process took, from its start until it was gone; `started` is on the monotonic clock."""

    started: float
    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float


class ContenderError(Exception):
    """A contender did not do its work; the text is the end of what it said."""


def measure(command: Sequence[str], *, environment: Mapping[str, str], directory: Path) -> Usage:
    """Run a program to its end; its children, had it any, count in time but not in memory.

    Raises:
        ContenderError: It failed.
    """
    output_path = directory / "output"
    with output_path.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(command, env=environment, cwd=directory, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall_seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ContenderError(
            f"{' '.join(command)} exited with {process.returncode}:\n{output_path.read_text()[-3000:]}"
        )
    return Usage(
        started=started,
        wall_seconds=wall_seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_megabytes=usage.ru_maxrss / _KILOBYTES_PER_MEGABYTE,
    )


@contextmanager
def serving(command: Sequence[str]) -> Iterator[Any]:
    """Run a server until the block ends, and give what its first line says."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield msgspec.json.decode(process.stdout.readline())
        finally:
            process.kill()

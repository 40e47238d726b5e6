"""Runs a container's command as a local process on a leash (see leash.py) and writes its output to a log file.

Called by container_runner.py. All processes that the command started end with it, and all of them with the kubelet.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from signal import Signals
from typing import BinaryIO

from estimatesync_cluster.leashed import LEASH
from estimatesync_cluster.test_kubelet.log_lines import stamp_lines

CHUNK_BYTES = 65536


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """What to run and where. The environment holds secrets: repr leaves it out, and the command that may quote it."""

    command: Sequence[str] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    directory: Path
    log: Path


class ContainerProcess:
    """A started container."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        """Take over a started leash and copy its output into the log."""
        self._process = process
        self._copying = asyncio.create_task(_copy_output(process.stdout, log))

    @property
    def pid(self) -> int:
        """Process id of the leash."""
        return self._process.pid

    def send_signal(self, number: Signals) -> None:
        """Send a signal to the container's process group; SIGKILL reaches what left the group, too."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(bytes([number]))

    async def wait(self) -> int:
        """Wait until the container and all it started are gone; return its exit code as a shell would."""
        exit_code = await self._process.wait()
        await self._copying
        return exit_code


def find_obstacle(invocation: Invocation) -> str | None:
    """Find out why the command cannot be started at all, in the container runtime's words; None when it can."""
    program = invocation.command[0]
    if not invocation.directory.is_dir():
        return f'chdir to cwd ("{invocation.directory}") set in config.json failed: no such file or directory'
    if "/" in program:
        found = os.access(invocation.directory / program, os.X_OK)
        return None if found else f'exec: "{program}": stat {program}: no such file or directory'
    found_path = shutil.which(program, path=invocation.environment.get("PATH", ""))
    return None if found_path else f'exec: "{program}": executable file not found in $PATH'


async def start_container(invocation: Invocation) -> ContainerProcess:
    """Start a container in which find_obstacle found none."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        str(LEASH),
        *invocation.command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(invocation.environment),
        cwd=invocation.directory,
        start_new_session=True,
    )
    return ContainerProcess(process, invocation.log)


async def _copy_output(output: asyncio.StreamReader | None, path: Path) -> None:
    if output is None:
        return
    with path.open("ab", buffering=0) as log:
        carry = b""
        while chunk := await output.read(CHUNK_BYTES):
            carry = _append(log, carry, chunk)
        if carry:
            _append(log, carry, b"\n")


def _append(log: BinaryIO, carry: bytes, chunk: bytes) -> bytes:
    lines, rest = stamp_lines(carry, chunk, datetime.now(UTC))
    if lines:
        log.write(lines)
    return rest

"""Prepares one container and runs its command as a local process, with its output in a log file.

Called by container_runner.py before each start, until everything that the container refers to is there: its files, its
mounts, its identity, its environment. All processes that the command started end with it, and all of them with the
kubelet (`estimatesync_processes`). The pod's files are removed with the pod.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from signal import Signals
from typing import IO, BinaryIO

from estimatesync_processes.forked_process import StartedProcess, start_program

from estimatesync_cluster.layout import write_private
from estimatesync_cluster.test_kubelet.environment import (
    ConfigMissingError,
    build_command_line,
    build_environment,
    compute_mounts,
    compute_references,
    decide_token_wanted,
    redirect_paths,
)
from estimatesync_cluster.test_kubelet.kubernetes_client import KubernetesClient
from estimatesync_cluster.test_kubelet.logs import stamp_lines
from estimatesync_cluster.test_kubelet.manifests import Container, Pod

MESSAGE_VARIABLE = "TERMINATION_MESSAGE_PATH"
MAX_MESSAGE_BYTES = 4096

CHUNK_BYTES = 65536


@dataclass(frozen=True, kw_only=True)
class PodFiles:
    """The directory of one pod."""

    root: Path

    def log(self, container: str, restarts: int) -> Path:
        """Standard output and error of one run of a container, as stored lines."""
        return self.root / container / f"{restarts}.log"

    def message(self, container: str, restarts: int) -> Path:
        """Stands for /dev/termination-log, which only a container with its own filesystem can have."""
        return self.root / container / f"termination-message-{restarts}"

    def kubeconfig(self) -> Path:
        """The identity of the pod's service account."""
        return self.root / "kubeconfig"

    def volume(self, kind: str, name: str) -> Path:
        """The keys of a mounted Secret or ConfigMap, a file each."""
        return self.root / "volumes" / kind / name

    def home(self, container: str) -> Path:
        """HOME, TMPDIR and working directory of a container that names none."""
        return self.root / container / "home"


def create_container_files(files: PodFiles, container: str) -> None:
    """Make the directories of a container."""
    files.home(container).mkdir(mode=0o700, parents=True, exist_ok=True)


def read_message(path: Path) -> str:
    """Read a termination message, its last 4,096 bytes at most, as the kubelet does; empty when there is none."""
    try:
        return path.read_bytes()[-MAX_MESSAGE_BYTES:].decode(errors="replace")
    except OSError:
        return ""


def remove_files(files: PodFiles) -> None:
    """Remove everything that the pod left."""
    shutil.rmtree(files.root, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class NodeRuntime:
    """What the node offers to every container."""

    client: KubernetesClient
    root: Path
    known_images: tuple[str, ...]
    search_path: str


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """What to run and where. The environment holds secrets: repr leaves it out, and the command that may quote it."""

    command: Sequence[str] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    directory: Path
    log: Path


class ContainerSetup:
    """What one container of a pod starts with."""

    def __init__(self, container: Container, pod: Pod, *, node: NodeRuntime, files: PodFiles) -> None:
        self._container = container
        self._pod = pod
        self._node = node
        self._files = files

    async def create_invocation(self, *, restarts: int) -> Invocation:
        """Fetch and write all that the container needs.

        Raises:
            ConfigMissingError: something it refers to is not there.
            ApiError, httpx.TransportError: the API server could not be asked.
        """
        name = self._container.name
        create_container_files(self._files, name)
        home = self._files.home(name)
        environment = build_environment(
            self._container,
            self._pod,
            base={**self._build_base(home, restarts), **await self._create_identity()},
            objects=await self._fetch_objects(),
        )
        environment = redirect_paths(environment, await self._create_mounts())
        return Invocation(
            command=build_command_line(self._container, environment),
            environment=environment,
            directory=Path(self._container.working_dir or home),
            log=self._files.log(name, restarts),
        )

    async def _create_mounts(self) -> dict[str, Path]:
        places = {}
        for path, (kind, name) in compute_mounts(self._container, self._pod).items():
            data = await self._node.client.fetch_data(self._pod.metadata.namespace, kind, name)
            if data is None:
                raise ConfigMissingError(f'{kind.lower()} "{name}" not found')
            place = places[path] = self._files.volume(kind, name)
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            for key, value in data.items():
                write_private(place / key, value.encode())
        return places

    async def _create_identity(self) -> dict[str, str]:
        """Stands for the mounted token, whose path every client has built in."""
        if not decide_token_wanted(self._pod):
            return {}
        path = self._files.kubeconfig()
        write_private(path, await self._node.client.create_kubeconfig(self._pod))
        return {"KUBECONFIG": str(path)}

    def _build_base(self, home: Path, restarts: int) -> dict[str, str]:
        message = self._files.message(self._container.name, restarts)
        return {"PATH": self._node.search_path, "HOME": str(home), "TMPDIR": str(home), MESSAGE_VARIABLE: str(message)}

    async def _fetch_objects(self) -> dict[tuple[str, str], Mapping[str, str]]:
        objects: dict[tuple[str, str], Mapping[str, str]] = {}
        for kind, name in compute_references(self._container):
            data = await self._node.client.fetch_data(self._pod.metadata.namespace, kind, name)
            if data is not None:
                objects[kind, name] = data
        return objects


class ContainerProcess:
    """A started container."""

    def __init__(self, process: StartedProcess, log: Path) -> None:
        self._process = process
        self._copying = asyncio.create_task(_copy_output(process.stdout, log))

    @property
    def pid(self) -> int:
        """Process id of the guard; the container is its child."""
        return self._process.pid

    def send_signal(self, number: Signals) -> None:
        """Send a signal to the container's process group; SIGKILL reaches what left the group, too."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with suppress(BrokenPipeError):
                self._process.stdin.write(bytes([number]))

    async def wait(self) -> int:
        """Wait until the container and all it started are gone; return its exit code as a shell would."""
        # The guard ends last and has the output open to its end: then this is no more than a look.
        await self._copying
        exit_code = await asyncio.to_thread(self._process.wait)
        if self._process.stdin is not None:
            self._process.stdin.close()
        return exit_code


def find_start_error(invocation: Invocation) -> str | None:
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
    """Start a container in which find_start_error found no error."""
    process = await asyncio.to_thread(
        start_program,
        invocation.command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=invocation.environment,
        cwd=invocation.directory,
        start_new_session=True,
        is_guarded=True,
    )
    return ContainerProcess(process, invocation.log)


async def _copy_output(output: IO[bytes] | None, path: Path) -> None:
    if output is None:
        return
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, output)
    try:
        with path.open("ab", buffering=0) as log:
            carry = b""
            while chunk := await reader.read(CHUNK_BYTES):
                carry = _append(log, carry, chunk)
            if carry:
                _append(log, carry, b"\n")
    finally:
        transport.close()


def _append(log: BinaryIO, carry: bytes, chunk: bytes) -> bytes:
    lines, rest = stamp_lines(carry, chunk, datetime.now(UTC))
    if lines:
        log.write(lines)
    return rest

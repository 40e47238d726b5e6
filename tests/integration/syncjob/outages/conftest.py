"""A PostgreSQL of a test's own, which it may stop, freeze and starve; no other test may depend on that one."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from estimatesync_postgres_server import copy_data, embedded_server, prepare_embedded_data

SPACE_BYTES = 8 * 1024 * 1024
"""Enough for the tables of some thousand estimates."""


class OwnServer:
    """One server: its processes can be acted on, and its data outlives them."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.url = str(server.get_uri())

    def stop(self) -> None:
        """Shut down as an administrator would, without waiting for those who are connected."""
        self._send(signal.SIGINT, [self._server.get_pid()])
        self._server.get_postmaster_info().process.wait(30)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep the server and all its sessions from running; their connections stay open."""
        processes = self._list_processes()
        self._send(signal.SIGSTOP, processes)
        try:
            yield
        finally:
            self._send(signal.SIGCONT, processes)

    @contextmanager
    def file_limit(self, size: int) -> Iterator[None]:
        """Let no file of the server, and of the sessions it begins from now on, grow beyond a size."""
        self._limit_files(str(size))
        try:
            yield
        finally:
            self._limit_files("unlimited")

    def _limit_files(self, size: str) -> None:
        """As the server's own user, who needs no right for that: only the soft limit moves."""
        pid = self._server.get_pid()
        owner = Path(f"/proc/{pid}").stat()
        who = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        subprocess.run(["prlimit", f"--fsize={size}:", f"--pid={pid}"], check=True, **who)  # type: ignore[call-overload] # noqa: S607 - PATH's

    def query(self, statement: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _list_processes(self) -> list[int]:
        postmaster = self._server.get_postmaster_info().process
        return [postmaster.pid, *(child.pid for child in postmaster.children())]

    def _send(self, number: signal.Signals, processes: list[int]) -> None:
        for pid in processes:
            # A session may just have ended by itself.
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@pytest.fixture
def own_server(run_directory: Path) -> Iterator[OwnServer]:
    directory = Path(tempfile.mkdtemp(prefix="estimatesync-pg-"))
    copy_data(prepare_embedded_data(run_directory), directory)
    with embedded_server(directory) as server:
        yield OwnServer(server)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def small_disk(own_server: OwnServer) -> Iterator[Path]:
    """A disk of a few megabytes, given to the server as its tablespace `small`."""
    directory = Path(tempfile.mkdtemp(prefix="estimatesync-disk-"))
    owner = Path(own_server.query("SHOW data_directory")[0][0]).stat()
    options = f"size={SPACE_BYTES},uid={owner.st_uid},gid={owner.st_gid},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)], check=True)  # noqa: S607 - PATH's
    try:
        own_server.query(f"CREATE TABLESPACE small LOCATION '{directory}'")
        yield directory
    finally:
        own_server.stop()
        subprocess.run(["umount", str(directory)], check=True)  # noqa: S607 - the same
        directory.rmdir()


StartJob = Callable[..., Any]


@pytest.fixture
def start_job(jobs: Any, own_server: OwnServer) -> StartJob:
    """Start a sync into the test's own server."""

    def start(sample: Any, **changes: str) -> Any:
        return jobs.start(sample, DATABASE_URL=own_server.url, **changes)

    return start

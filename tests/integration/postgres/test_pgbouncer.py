"""What a real PgBouncer says about each thing that can be wrong with it, or with the server behind it.

Debian's package `pgbouncer` is enough; where there is none, these tests are skipped.
"""

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from estimatesync_postgres.connection import create_connection, read_fault
from estimatesync_postgres.faults import Fault, Kind
from psycopg import sql

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
UNAVAILABLE, REFUSED, SETTING = Kind.UNAVAILABLE, Kind.REFUSED, Kind.SETTING

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")

Pool = Callable[..., str]


@pytest.fixture
def user(postgres_url: str) -> Iterator[str]:
    """A role of PostgreSQL that the pooler knows, too."""
    name = f"pooled_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN").format(sql.Identifier(name)))
        yield name
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def pool(database_url: str, user: str) -> Iterator[Pool]:
    """Start a pooler before the database of the test, and answer the URL of that database in it."""
    directory = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    parts = urlsplit(database_url)
    behind = parse_qs(parts.query)
    host, name = behind["host"][0], parts.path[1:]
    server_port = int(behind.get("port", ["5432"])[0])
    running: list[subprocess.Popen[bytes]] = []

    def start(*, database: str = "{name} = {behind}", **options: str) -> str:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        known = database.format(name=name, behind=f"host={host} port={server_port}")
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(directory / "users"),
            "server_login_retry": "1",
            "query_wait_timeout": "2",
            **options,
        }
        (directory / "users").write_text(f'"{user}" "made-up"\n')
        lines = [f"{key} = {value}" for key, value in settings.items()]
        (directory / "ini").write_text("\n".join(["[databases]", known, "[pgbouncer]", *lines, ""]))
        running.append(start_program(directory, Path(host)))
        wait_for(port)
        return f"postgresql://{user}:made-up@127.0.0.1:{port}/{name}"

    yield start
    for process in running:
        process.kill()
        process.wait()
    shutil.rmtree(directory)


def start_program(directory: Path, socket_directory: Path) -> subprocess.Popen[bytes]:
    """PgBouncer does not run as root, nor does the server, whose account reaches its socket."""
    options: dict[str, Any] = {}
    if os.geteuid() == 0:
        account = pwd.getpwuid(socket_directory.stat().st_uid or pwd.getpwnam("nobody").pw_uid)
        options = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        for path in (directory, *directory.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)
    command = [str(PROGRAM), "-q", str(directory / "ini")]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            asyncio.run(asyncio.sleep(0.05))
        else:
            return
    raise AssertionError("pgbouncer does not listen")


def find_fault(url: str, *statements: str) -> Fault | None:
    """Connect as every part does, and work; None where all is well."""

    async def use() -> None:
        async with await create_connection(url) as connection:
            for statement in statements:
                await connection.execute(statement)  # type: ignore[arg-type] # of these tests

    try:
        asyncio.run(use())
    except psycopg.Error as error:
        return read_fault(error, schema="botzilla")
    return None


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pooler_in_either_mode_is_like_a_server(pool: Pool, mode: str) -> None:
    assert find_fault(pool(pool_mode=mode), "SELECT 1") is None


@pytest.mark.parametrize(
    ("options", "change", "statement", "kind", "cure"),
    [
        pytest.param({}, ("made-up", "wrong"), "SELECT 1", REFUSED, "refuses the user or password", id="password"),
        pytest.param({}, ("//pooled", "//other"), "SELECT 1", REFUSED, "user or password", id="user"),
        pytest.param({}, ("/test_", "/nosuch_"), "SELECT 1", REFUSED, "knows no such user, project", id="database"),
        pytest.param(
            {"database": "* = {behind}"}, ("/test_", "/nosuch_"), "SELECT 1", REFUSED, "does not exist. Create it",
            id="database-behind-it",
        ),
        pytest.param({}, ("", "?options=-csearch_path%3Dx"), "SELECT 1", SETTING, "such as options", id="options"),
        pytest.param({}, ("", "?sslmode=require"), "SELECT 1", REFUSED, "or sslmode", id="tls"),
        pytest.param({"max_client_conn": "0"}, ("", ""), "SELECT 1", UNAVAILABLE, "no free connection", id="full"),
        pytest.param(
            {"database": "{name} = host=127.0.0.1 port=9"}, ("", ""), "SELECT 1", UNAVAILABLE, "that server runs",
            id="server-away",
        ),
        pytest.param(
            {"query_timeout": "1"}, ("", ""), "SELECT pg_sleep(5)", UNAVAILABLE, "Raise its query_timeout", id="slow",
        ),
        pytest.param(
            {"pool_mode": "statement"}, ("", ""), "SELECT 1", REFUSED, "pool_mode = transaction or session", id="mode",
        ),
        pytest.param(
            {"admin_users": "other"}, ("/test_", "/pgbouncer?application_name=test_"), "SELECT 1", REFUSED,
            "the console of a pooler", id="console",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_pooler_is_told_as_what_it_is(
    pool: Pool, options: dict[str, str], change: tuple[str, str], statement: str, kind: Kind, cure: str
) -> None:
    old, new = change
    url = pool(**options)
    url = url.replace(old, new, 1) if old else url + new

    fault = find_fault(url, statement)

    assert fault is not None
    assert (fault.kind, cure in fault.text) == (kind, True), fault.text
    assert "made-up" not in fault.text


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pool_that_is_full_is_told(pool: Pool, mode: str) -> None:
    url = pool(default_pool_size="1", pool_mode=mode)
    with psycopg.connect(url) as held:
        held.execute("SELECT 1")

        fault = find_fault(url, "SELECT 1")

    assert fault is not None
    assert (fault.kind, "or none that is free" in fault.text) == (UNAVAILABLE, True), fault.text

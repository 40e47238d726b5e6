"""Reads the settings, starts the server, and prints the banner or why it cannot start. Called by `command`.

The banner is what a person reads once the server is ready: where it is, what to try, where things are kept, how to stop
it.
"""

import argparse
import asyncio
import logging
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from estimatesync_client.core.problems import KEY_VARIABLE, URL_VARIABLE
from estimatesync_contract.job_environment import DATABASE_SCHEMA
from estimatesync_contract.legacy_settings import OLD_DATABASE_URL, OLD_NAMES, accept_old_names
from estimatesync_contract.names import START_PATH
from estimatesync_contract.settings import SettingsError
from estimatesync_contract.tls_trust import DIRECTORY_VARIABLE, FILE_VARIABLE, name_system_authorities
from estimatesync_contract.unknown_settings import find_unknown_settings, format_unknown_settings
from psycopg import pq

from estimatesync_local.adapters.accounts import give_up_root
from estimatesync_local.adapters.own_files import make_directory, write_own_file
from estimatesync_local.core.address import is_loopback
from estimatesync_local.core.env_template import format_env_template
from estimatesync_local.core.errors import StartError
from estimatesync_local.core.places import choose_places
from estimatesync_local.settings import (
    LOCAL_DIRECTORY,
    LOCAL_SETTINGS,
    PASSED_ON,
    SETTING_NAMES,
    find_exposure,
    parse_settings,
    read_directory,
    read_environment,
    read_names,
)
from estimatesync_local.supervisor import Ready, supervise, upgrade_postgres

OTHER_NAMES: Final = frozenset({*PASSED_ON, *OLD_NAMES, OLD_DATABASE_URL, KEY_VARIABLE, URL_VARIABLE})
"""What the file may set besides the settings: other programs of EstimateSync read it, too."""

ENV_EXAMPLE: Final = ".env.example"
"""A checkout has it, to copy and fill in."""

_SESSION_VARIABLES: Final = ("PGDATESTYLE", "PGTZ", "PGGEQO", "PGSERVICEFILE", "PGSYSCONFDIR", "PGLOCALEDIR")
"""What libpq reads besides the variables of its parameters."""

_ENV_INTRODUCTION: Final = """\
# EstimateSync on this machine: fill in the first two settings, and start estimatesync-server again.
# A variable of the environment wins over this file. A line that is commented out shows the default.
"""
_INSTALLED_SETTINGS: Final = {heading: rows for heading, rows in LOCAL_SETTINGS.items() if LOCAL_DIRECTORY not in rows}
"""Its directory is the one that the file is in."""

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None, *, home: Path | None = None) -> None:
    """Serve until a signal to stop.

    Args:
        arguments: those of the command line, by default.
        home: the directory of an installed server; without it, settings and data are in the working directory.

    Raises:
        SystemExit: The settings cannot be used, or the server cannot start; the message says what to do.
    """
    given = _parse_arguments(arguments, is_installed=home is not None)
    _configure_logging()
    places = choose_places(
        env_file=given.env_file,
        directory=given.directory,
        in_environment=os.environ.get(LOCAL_DIRECTORY.name, ""),
        home=home,
    )
    try:
        environment = read_environment(places.env_file)
    except SettingsError as error:
        raise SystemExit(str(error)) from error
    if places.directory is not None and (given.directory or not environment.get(LOCAL_DIRECTORY.name, "").strip()):
        environment[LOCAL_DIRECTORY.name] = str(places.directory)
    _name_authorities(environment)
    _forget_variables_of_libpq()
    old = accept_old_names(environment, SETTING_NAMES)
    _log_names(places.env_file, environment, old.notes)
    changed = _give_up_root(environment)
    if given.upgrade_postgres:
        _upgrade_postgres(environment, programs=given.old_postgres)
        return
    try:
        settings = parse_settings({**old.environment, **changed}, current_directory=Path.cwd(), faults=old.faults)
    except SettingsError as error:
        raise SystemExit(
            f"{error}\n{_provide_env_file(places.env_file, is_template_wanted=places.is_template_wanted)}"
        ) from error

    def announce(ready: Ready) -> None:
        print(
            format_banner(
                ready,
                settings_file=places.env_file.absolute() if places.env_file.is_file() else None,
                callback_url=settings.callback.default_url,
                public_url=settings.reconciler.public_url,
                schema=settings.program_environment[DATABASE_SCHEMA],
            ),
            flush=True,
        )

    try:
        asyncio.run(supervise(settings, announce=announce))
    except (StartError, SettingsError) as error:
        raise SystemExit(str(error)) from error


def format_banner(
    ready: Ready, *, settings_file: Path | None = None, callback_url: str | None, public_url: str = "", schema: str
) -> str:
    """Write the banner; `schema` is where the estimates are, `public_url` where a proxy in front serves them.

    It shows no key, and of the webhook only host and port: the rest of its URL is a secret.
    """
    paths, database_url = ready.paths, ready.embedded_database_url
    key_file = shlex.quote(str(paths.api_key))
    key = f"$(cat {key_file})" if ready.is_key_generated else "one of your API_KEYS"
    page = {"Page": f"{ready.url}/ in a browser, with the key"} if ready.has_status_page else {}
    lines = {
        **page,
        "Try it": f'curl -X POST {ready.url}{START_PATH} -H "X-API-KEY: {key}"',
        "Key": f"in {paths.api_key}, generated for you" if ready.is_key_generated else "from API_KEYS or API_KEY",
        "Settings": f"in {settings_file}" if settings_file else "from the environment",
        "Data": f"PostgreSQL in {paths.postgres}" if database_url else "in the database of DATABASE_URL",
        "Rows": _format_query(database_url, schema),
        "Sync logs": f"{paths.jobs}/*/runs/*/log",
        "Callback": _format_callback(callback_url),
        **_format_make(ready.url, public_url),
        "Stop": "Ctrl-C; running syncs start again with the server",
    }
    rows = [f"  {name:<10} {text}" for name, text in lines.items()]
    return "\n".join(["", f"EstimateSync is ready at {ready.url}", "", *rows, ""])


def _format_make(url: str, public_url: str) -> dict[str, str]:
    """Where Make.com posts to, or that it cannot; nothing where others reach this address and may have another name."""
    if public_url:
        return {"Make.com": f"posts to {public_url}{START_PATH}, through what you have in front of this address"}
    if not is_loopback(urlsplit(url).hostname or ""):
        return {}
    public = "docs/make.md#a-public-address-for-one-machine"
    return {"Make.com": f"cannot reach this address; it needs a public one: {public}"}


def _format_query(embedded_database_url: str | None, schema: str) -> str:
    """Write a command for a person's shell; it is never run from here."""
    url = shlex.quote(embedded_database_url) if embedded_database_url else '"$DATABASE_URL"'
    return " ".join(["psql", url, "-c", shlex.quote(f'TABLE "{schema}".estimate LIMIT 5')])


def _format_callback(url: str | None) -> str:
    if url is None:
        return "none; set MAKE_SYNC_CALLBACK_WEBHOOK_URL to be notified how each sync ended"
    parts = urlsplit(url)
    return f"posted to {parts.hostname}" + (f":{parts.port}" if parts.port else "")


def _parse_arguments(arguments: Sequence[str] | None, *, is_installed: bool) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="estimatesync-server" if is_installed else "python -m estimatesync_local",
        description="Serves EstimateSync on this machine, without a cluster.",
    )
    usual = ".env in that directory, made at the first start" if is_installed else ".env, if there is one"
    parser.add_argument(
        "--directory",
        type=Path,
        help="where everything is kept: PostgreSQL, jobs and their logs, the key (default: LOCAL_DIRECTORY, or "
        f"{'~/.local/state/estimatesync; for root /var/lib/estimatesync' if is_installed else '.local'})",
    )
    parser.add_argument("--env-file", type=Path, help=f"file with settings (default: {usual})")
    parser.add_argument(
        "--upgrade-postgres",
        action="store_true",
        help="copy the data of its own PostgreSQL, which an earlier major version has made, to this one, and end",
    )
    parser.add_argument(
        "--old-postgres",
        type=Path,
        metavar="PROGRAMS",
        help="for that: the directory of the earlier version's programs (default: found, or installed for the time)",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('estimatesync')}")
    given = parser.parse_args(arguments)
    if given.env_file is not None and not given.env_file.is_file():
        parser.error(f"there is no file {given.env_file}")
    return given


def _provide_env_file(env_file: Path, *, is_template_wanted: bool) -> str:
    """Say where to set what is missing; make the file for a person who has none."""
    if not is_template_wanted or env_file.exists():
        return _explain_where_to_set(env_file)
    try:
        make_directory(env_file.parent)
        write_own_file(env_file, format_env_template(_ENV_INTRODUCTION, _INSTALLED_SETTINGS))
    except OSError as error:
        return f"Set them in {env_file}, which cannot be made ({error}), or name another place with --directory."
    return (
        f"Set them in {env_file}, which has just been made for you and explains every setting, and run this again.\n"
        f"Everything else is kept next to it, in {env_file.parent}."
    )


def _explain_where_to_set(env_file: Path) -> str:
    if env_file.exists():
        return f"Set them in {env_file} or in the environment."
    if (example := env_file.with_name(ENV_EXAMPLE)).exists():
        return f"There is no {env_file} yet: cp {example} {env_file} && chmod 600 {env_file}, and set them there."
    return f"There is no {env_file}: write them there, each as NAME=value in a line, or set them in the environment."


def _name_authorities(environment: dict[str, str]) -> None:
    """Libraries read them from the environment of the process, which does not include the file."""
    name_system_authorities(environment)
    os.environ.update({name: environment[name] for name in (FILE_VARIABLE, DIRECTORY_VARIABLE) if name in environment})


def _forget_variables_of_libpq() -> None:
    """Leave libpq no `PGOPTIONS` or `PGSERVICE` of this shell: the settings say where the database is.

    The processes that this one starts get none of them either.
    """
    for option in pq.Conninfo.get_defaults():
        if option.envvar is not None:
            os.environ.pop(option.envvar.decode(), None)
    for name in _SESSION_VARIABLES:
        os.environ.pop(name, None)


def _give_up_root(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Children are told the new home in their environment, and libraries look for it in that of the process."""
    try:
        changed = give_up_root(read_directory(environment, current_directory=Path.cwd()))
    except StartError as error:
        raise SystemExit(str(error)) from error
    os.environ.update(changed)
    return changed


def _upgrade_postgres(environment: Mapping[str, str], *, programs: Path | None) -> None:
    directory = read_directory(environment, current_directory=Path.cwd())
    try:
        upgrade_postgres(directory, programs=programs, report=lambda line: print(line, flush=True))
    except StartError as error:
        raise SystemExit(str(error)) from error


def _log_names(env_file: Path, environment: Mapping[str, str], notes: Sequence[str]) -> None:
    """Log which names are old, and which have no effect, and whether others can read the file."""
    unknown = find_unknown_settings(read_names(env_file), environment, settings=SETTING_NAMES, other_names=OTHER_NAMES)
    warnings, remarks = format_unknown_settings(unknown, env_file.name)
    exposure = find_exposure(env_file)
    for warning in (*notes, *warnings, *([exposure] if exposure else [])):
        logger.warning("%s", warning)
    for remark in remarks:
        logger.info("%s", remark)


def _configure_logging() -> None:
    handler = logging.StreamHandler(sys.stderr)
    line = "%(asctime)s %(levelname)s %(name)s sync=%(sync_id)s %(message)s"
    handler.setFormatter(logging.Formatter(line, defaults={"sync_id": "-"}))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # It logs whole URLs of requests.
    logging.getLogger("httpx").setLevel(logging.WARNING)

"""`python -m estimatesync_local`: reads the settings, starts the server, and says in plain words why it cannot."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from estimatesync_contract.environment_reader import SettingsError
from estimatesync_contract.job_environment import DATABASE_SCHEMA
from estimatesync_contract.legacy_settings import accept_old_names
from estimatesync_contract.tls_trust import DIRECTORY_VARIABLE, FILE_VARIABLE, name_system_authorities

from estimatesync_local.banner import format_banner
from estimatesync_local.errors import StartError
from estimatesync_local.settings import SETTING_NAMES, parse_settings, read_environment, read_names
from estimatesync_local.supervisor import Ready, supervise
from estimatesync_local.unread_names import find_unread_names, format_unread_names

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to stop.

    Raises:
        SystemExit: The settings cannot be used, or the server cannot start; the message says what to do.
    """
    env_file = _parse_env_file(arguments)
    _configure_logging()
    environment = read_environment(env_file)
    _name_authorities(environment)
    old = accept_old_names(environment, SETTING_NAMES)
    _log_names(env_file, environment, old.notes)
    try:
        settings = parse_settings(old.environment, current_directory=Path.cwd(), faults=old.faults)
    except SettingsError as error:
        raise SystemExit(f"{error}\nSet them in {env_file} or in the environment.") from error

    def announce(ready: Ready) -> None:
        print(
            format_banner(
                ready,
                callback_url=settings.callback.default_url,
                schema=settings.program_environment[DATABASE_SCHEMA],
            ),
            flush=True,
        )

    try:
        asyncio.run(supervise(settings, announce=announce))
    except (StartError, SettingsError) as error:
        raise SystemExit(str(error)) from error


def _parse_env_file(arguments: Sequence[str] | None) -> Path:
    parser = argparse.ArgumentParser(
        prog="python -m estimatesync_local", description="Serves EstimateSync on this machine, without a cluster."
    )
    parser.add_argument("--env-file", type=Path, help="file with settings (default: .env, if there is one)")
    named: Path | None = parser.parse_args(arguments).env_file
    if named is not None and not named.is_file():
        parser.error(f"there is no file {named}")
    return named or Path(".env")


def _name_authorities(environment: dict[str, str]) -> None:
    """Libraries look for them in the environment of the process, which knows nothing of the file."""
    name_system_authorities(environment)
    os.environ.update({name: environment[name] for name in (FILE_VARIABLE, DIRECTORY_VARIABLE) if name in environment})


def _log_names(env_file: Path, environment: Mapping[str, str], notes: Sequence[str]) -> None:
    """Tell which names are old, and which are read by nobody."""
    unread = find_unread_names(read_names(env_file), environment)
    warnings, remarks = format_unread_names(unread, env_file.name)
    for warning in (*notes, *warnings):
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

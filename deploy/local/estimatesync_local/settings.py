"""What a person may choose for one machine, read once by `main` from `.env` and the environment; all faults at once.

`setting_list` says what each variable means. The variables that the parts have in a cluster mean the same here.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import estimatesync_api.settings
from dotenv import dotenv_values
from estimatesync_api.keys import KEY_MIN_LENGTH
from estimatesync_api.settings import KEY_FILES, KEY_SETTINGS, REQUEST_SETTINGS
from estimatesync_contract import job_environment as job
from estimatesync_contract.environment_reader import EnvironmentReader, SettingsError
from estimatesync_operator import callback_settings
from estimatesync_operator.callback_settings import CallbackSettings, read_callback_settings
from estimatesync_operator.reconciler import ReconcilerSettings
from estimatesync_operator.settings import read_program_environment, read_reconciler_settings
from estimatesync_tracing import settings as tracing_settings
from estimatesync_tracing.settings import TracingSettings, read_tracing_settings

from estimatesync_local.adapters.listener import Address, parse_address

# Syncs of one machine cannot name a Secret, so there is none to allow.
CALLBACK_SETTINGS: Final = tuple(
    name for name in callback_settings.SETTING_NAMES if name != callback_settings.ALLOWED_SECRETS
)
SETTING_NAMES: Final = (
    *(job.ATTIC_TECH_EMAIL, job.ATTIC_TECH_PASSWORD, job.ATTIC_TECH_URL),
    *(job.DATABASE_URL, job.DATABASE_SCHEMA, job.DATABASE_WAIT_SECONDS, "LOCAL_DIRECTORY"),
    *("BIND", "WEB_CONCURRENCY", *KEY_SETTINGS, *REQUEST_SETTINGS),
    *("TIME_ZONE", "ENVIRONMENT", "MAX_ACTIVE_SYNCS", "TTL_SECONDS_AFTER_FINISHED", "PROGRESS_SECONDS"),
    *("RETRY_SECONDS", "SYNC_LOG_FORMAT"),
    job.SYNC_MAX_SKIPPED_PERCENT,
    *CALLBACK_SETTINGS,
    *tracing_settings.SETTING_NAMES,
)
"""Every variable that is read; nothing else changes what the server does."""

_KEY_TO_COME: Final = {"API_KEYS": "x" * KEY_MIN_LENGTH}
"""Stands for the key that is made, while everything else is read."""

HANDED_ON: Final = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)
"""What a child process needs of the machine's own environment; secrets of other programs are no business of ours."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that differs between two machines."""

    directory: Path
    address: Address
    database_url: str | None = field(repr=False)
    """None: PostgreSQL is started below the directory."""
    api: Mapping[str, str] = field(repr=False)
    """What the API is told, in its own variables."""
    workers: int
    retry_delay: timedelta
    reconciler: ReconcilerSettings
    callback: CallbackSettings
    tracing: TracingSettings
    program_environment: Mapping[str, str] = field(repr=False)
    """For every run of the sync program, but for the database's URL."""
    machine_environment: Mapping[str, str] = field(repr=False)
    """For every child process."""

    @property
    def has_api_keys(self) -> bool:
        """Without any, one is made."""
        return _has_keys(self.api)

    @property
    def has_status_page(self) -> bool:
        """Without a word about it, it is served."""
        return self.api.get("STATUS_PAGE", "true").lower() == "true"


def read_environment(env_file: Path) -> dict[str, str]:
    """Read the file, if there is one, and the process's environment, which wins, also with a blank value.

    Nothing is interpolated: a password may hold `$`.
    """
    in_file = dotenv_values(env_file, interpolate=False)
    return {**{name: value or "" for name, value in in_file.items()}, **os.environ}


def read_names(env_file: Path) -> tuple[str, ...]:
    """Read which variables the file sets, if there is one; a line without `=` sets none, and may be anything."""
    return tuple(name for name, value in dotenv_values(env_file, interpolate=False).items() if value is not None)


def parse_settings(environment: Mapping[str, str], *, current_directory: Path, faults: Iterable[str] = ()) -> Settings:
    """Read the settings; `faults` have been found already.

    Raises:
        SettingsError: Something is missing or wrong; all of it is in the message.
    """
    reader = EnvironmentReader(environment, faults=faults)
    settings = Settings(
        directory=current_directory / reader.read_text("LOCAL_DIRECTORY", ".local"),
        address=_read_address(reader),
        database_url=_read_url(reader, job.DATABASE_URL, "", ("postgresql", "postgres")) or None,
        api=_read_api_settings(reader, environment, current_directory),
        workers=reader.read_integer("WEB_CONCURRENCY", 1, low=1, high=64),
        retry_delay=timedelta(seconds=reader.read_integer("RETRY_SECONDS", 10, low=1, high=360)),
        reconciler=read_reconciler_settings(reader),
        callback=_read_callback_settings(reader, environment),
        tracing=_read_tracing_settings(reader, environment),
        program_environment=_read_program_environment(reader),
        machine_environment={name: environment[name] for name in HANDED_ON if environment.get(name)},
    )
    reader.raise_faults()
    return settings


def _read_address(reader: EnvironmentReader) -> Address:
    try:
        return parse_address(reader.read_text("BIND", "127.0.0.1:8080"))
    except ValueError:
        reader.faults.append("BIND must be an address and a port, for example 127.0.0.1:8080 or 0.0.0.0:8080")
        return Address(host="127.0.0.1", port=0)


def _read_url(reader: EnvironmentReader, name: str, default: str, schemes: tuple[str, ...]) -> str:
    url = reader.read_text(name, default)
    if url and not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        reader.faults.append(f"{name} must begin with {schemes[0]}://")
    return url


def _read_api_settings(
    reader: EnvironmentReader, environment: Mapping[str, str], current_directory: Path
) -> dict[str, str]:
    own = {name: text for name in (*KEY_SETTINGS, *REQUEST_SETTINGS) if (text := environment.get(name, "").strip())}
    # The API is started somewhere else.
    own |= {name: str(current_directory / own[name]) for name in KEY_FILES if name in own}
    try:
        estimatesync_api.settings.parse_settings({**({} if _has_keys(own) else _KEY_TO_COME), **own})
    except SettingsError as error:
        reader.faults.extend(error.faults)
    return own


def _has_keys(api: Mapping[str, str]) -> bool:
    return any(name in api for name in KEY_SETTINGS)


def _read_callback_settings(reader: EnvironmentReader, environment: Mapping[str, str]) -> CallbackSettings:
    own = EnvironmentReader({name: environment.get(name, "") for name in CALLBACK_SETTINGS})
    settings = read_callback_settings(own)
    reader.faults.extend(own.faults)
    return settings


def _read_tracing_settings(reader: EnvironmentReader, environment: Mapping[str, str]) -> TracingSettings:
    own = EnvironmentReader({name: environment.get(name, "") for name in tracing_settings.SETTING_NAMES})
    settings = read_tracing_settings(own)
    reader.faults.extend(own.faults)
    return settings


def _read_program_environment(reader: EnvironmentReader) -> dict[str, str]:
    return {
        **read_program_environment(reader),
        job.ATTIC_TECH_EMAIL: reader.read_required(
            job.ATTIC_TECH_EMAIL, "give the e-mail address of the Attic Tech login"
        ),
        job.ATTIC_TECH_PASSWORD: reader.read_required(job.ATTIC_TECH_PASSWORD, "give the password of that login"),
        job.ATTIC_TECH_URL: _read_url(reader, job.ATTIC_TECH_URL, job.DEFAULT_ATTIC_TECH_URL, ("https", "http")),
    }

"""One machine's settings: the table by which `main` reads them from `.env` and the environment, and what they become.

The table has the order of `.env.example`, which is made from it. What the parts have in a cluster means the same here
and is taken from their tables; what differs is said here.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Final

import estimatesync_api.settings
import msgspec
from dotenv import dotenv_values
from estimatesync_api.core.access import KEY_MIN_LENGTH
from estimatesync_api.settings import (
    CALLBACK_TARGET_NAMES,
    KEY_FILES,
    KEY_SETTINGS,
    REQUEST_SETTINGS,
    STATUS_PAGE,
    WEB_CONCURRENCY,
)
from estimatesync_contract import settings as shared
from estimatesync_contract.env_file import EnvFileError, decode_env_file, is_open_to_others
from estimatesync_contract.proxies import PROXY_VARIABLES, ProxyFaultError, find_proxy
from estimatesync_contract.settings import (
    ATTIC_TECH_URL,
    DATABASE_SCHEMA,
    DATABASE_WAIT_SECONDS,
    SYNC_DELETIONS,
    SYNC_LOGIN_RETRY,
    SYNC_MAX_DELETED_PERCENT,
    SYNC_MAX_PAGE_MEGABYTES,
    SYNC_MAX_SKIPPED_PERCENT,
    SYNC_MAX_UNSHOWN_PERCENT,
    SYNC_METADATA,
    SYNC_MIN_ESTIMATES,
    SYNC_SELECT_FIELDS,
    IntegerSetting,
    ParsedSetting,
    Setting,
    SettingsError,
    SettingsReader,
    TextSetting,
)
from estimatesync_operator.callback.settings import (
    ALLOWED_SECRETS,
    CALLBACK_SETTINGS,
    CallbackSettings,
    find_target_files,
    read_callback_settings,
)
from estimatesync_operator.core.plan import ReconcilerSettings
from estimatesync_operator.settings import (
    RECONCILER_SETTINGS,
    SYNC_LOG_FORMAT,
    read_program_environment,
    read_reconciler_settings,
)
from estimatesync_tracing.settings import TRACING_SETTINGS, TracingSettings, read_tracing_settings

from estimatesync_local.core.address import Address, parse_address
from estimatesync_local.core.schedules import Schedule, parse_schedules


def _parse_bind(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError:
        raise ValueError("must be an address and a port, for example 127.0.0.1:8080 or 0.0.0.0:8080") from None


ATTIC_TECH_EMAIL: Final = msgspec.structs.replace(
    shared.ATTIC_TECH_EMAIL, cure="give the e-mail address of the Attic Tech login"
)
ATTIC_TECH_PASSWORD: Final = msgspec.structs.replace(
    shared.ATTIC_TECH_PASSWORD,
    meaning="Its password. Keep the quotes in `.env`: without them, # or a space would end it",
    cure="give the password of that login",
)
DATABASE_URL: Final = msgspec.structs.replace(
    shared.DATABASE_URL,
    meaning="`postgresql://user:password@host:5432/database`; in a password, `@` is written `%40`, `/` `%2F` and `%` "
    "`%25`. Without it, EstimateSync starts its own PostgreSQL in LOCAL_DIRECTORY",
    is_required=False,
)
BIND: Final = ParsedSetting(
    name="BIND",
    meaning="Address and port to listen on. 0.0.0.0:8080 lets other machines in; put a proxy with TLS in front of it",
    default="127.0.0.1:8080",
    parser=_parse_bind,
)
API_KEYS: Final = msgspec.structs.replace(
    estimatesync_api.settings.API_KEYS,
    meaning=f"{estimatesync_api.settings.API_KEYS.meaning}. Without any, one is generated and kept in "
    "LOCAL_DIRECTORY/api-key",
)
CALLBACK_TARGETS: Final = msgspec.structs.replace(
    shared.CALLBACK_TARGETS,
    meaning="Further webhooks by name, which a request may name as `callback`: `billing=https://…`, separated by "
    "commas",
)
RETRY_SECONDS: Final = IntegerSetting(
    name="RETRY_SECONDS",
    meaning="Time before a failed run is repeated; doubles with each failure, up to 6 minutes",
    default="10",
    unit="seconds",
    minimum=1,
    maximum=360,
)
SCHEDULES: Final = ParsedSetting(
    name="SCHEDULES",
    meaning="Syncs that start by themselves, separated by semicolons: `nightly 0 3 * * *; weekly 0 4 * * SUN "
    "days=400`. Each is a name, the five fields of cron and, if need be, `days=`, `mode=changes`, `timeZone=`",
    parser=parse_schedules,
)
LOCAL_DIRECTORY: Final = TextSetting(
    name="LOCAL_DIRECTORY",
    meaning="Directory for everything: jobs and their logs, PostgreSQL, the key. A relative path starts at the "
    "server's working directory. A server that root starts runs as the account that it belongs to. This is the default "
    "in a checkout; `estimatesync-server` has another one, which also holds the settings, and `--directory`",
    default=".local",
)
_KEY_SETTINGS: Final = (API_KEYS, *(each for each in KEY_SETTINGS if each.name != API_KEYS.name))
LOCAL_SETTINGS: Final[Mapping[str, tuple[Setting[object], ...]]] = {
    "Attic Tech": (ATTIC_TECH_EMAIL, ATTIC_TECH_PASSWORD, ATTIC_TECH_URL),
    "Database": (DATABASE_URL, DATABASE_SCHEMA, DATABASE_WAIT_SECONDS),
    "API": (BIND, *_KEY_SETTINGS, *REQUEST_SETTINGS, WEB_CONCURRENCY),
    # Syncs of one machine cannot name a Secret, so there is none to allow.
    "Callback": tuple(
        CALLBACK_TARGETS if each is shared.CALLBACK_TARGETS else each
        for each in CALLBACK_SETTINGS
        if each is not ALLOWED_SECRETS
    ),
    "Syncs": (
        *(*RECONCILER_SETTINGS, RETRY_SECONDS, SCHEDULES),
        *(
            SYNC_MAX_SKIPPED_PERCENT,
            SYNC_MAX_UNSHOWN_PERCENT,
            SYNC_MIN_ESTIMATES,
            SYNC_DELETIONS,
            SYNC_MAX_DELETED_PERCENT,
            SYNC_MAX_PAGE_MEGABYTES,
            SYNC_SELECT_FIELDS,
            SYNC_LOGIN_RETRY,
            SYNC_LOG_FORMAT,
        ),
    ),
    "Traces": TRACING_SETTINGS,
    "This machine": (LOCAL_DIRECTORY,),
}
"""By heading."""
SETTING_NAMES: Final = tuple(each.name for settings in LOCAL_SETTINGS.values() for each in settings)
"""Every variable that is read; nothing else changes what the server does."""

_PLACEHOLDER_KEY: Final = {API_KEYS.name: "x" * KEY_MIN_LENGTH}
"""Stands for the key that is generated later, while everything else is checked."""

PASSED_ON: Final = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", *PROXY_VARIABLES),
)
"""What a child process needs of the machine's environment; it gets no secrets of other programs."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that differs between two machines."""

    directory: Path
    address: Address
    database_url: str | None = field(repr=False)
    """None: PostgreSQL is started below the directory."""
    api: Mapping[str, str] = field(repr=False)
    """The API's settings, in its own variables."""
    workers: int
    retry_delay: timedelta
    schedules: tuple[Schedule, ...]
    reconciler: ReconcilerSettings
    callback: CallbackSettings
    tracing: TracingSettings
    program_environment: Mapping[str, str] = field(repr=False)
    """For every run of the sync program; the database's URL is added later."""
    machine_environment: Mapping[str, str] = field(repr=False)
    """For every child process."""

    @property
    def has_api_keys(self) -> bool:
        """Whether any is given; otherwise one is generated."""
        return _has_keys(self.api)

    @property
    def has_status_page(self) -> bool:
        """Whether the API serves it."""
        return SettingsReader(self.api).read(STATUS_PAGE)


def read_environment(env_file: Path) -> dict[str, str]:
    """Read the file, if there is one, and the process's environment, which wins, also with a blank value.

    Nothing is interpolated: a password may hold `$`.

    Raises:
        SettingsError: The file cannot be read, or is not UTF-8.
    """
    return {**{name: value or "" for name, value in _read_file(env_file).items()}, **os.environ}


def read_names(env_file: Path) -> tuple[str, ...]:
    """Read which variables the file sets, if there is one; a line without `=` sets none, and may be anything."""
    return tuple(name for name, value in _read_file(env_file).items() if value is not None)


def _read_file(env_file: Path) -> Mapping[str, str | None]:
    try:
        text = decode_env_file(env_file.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError([f"{env_file} cannot be read: {error.strerror}"]) from error
    except EnvFileError as error:
        raise SettingsError([f"{env_file} {error}"]) from error
    return dotenv_values(stream=StringIO(text), interpolate=False)


def find_exposure(env_file: Path) -> str | None:
    """Say how to close a file with secrets that every account of this machine can read; None when it is closed."""
    names = {each.name for settings in LOCAL_SETTINGS.values() for each in settings if each.is_secret}
    if not env_file.is_file() or not is_open_to_others(env_file.stat().st_mode):
        return None
    secrets = [name for name, value in _read_file(env_file).items() if value and name in names]
    if not secrets:
        return None
    return f"every account of this machine can read {env_file} and with it {secrets[0]}; run: chmod 600 {env_file}"


def read_directory(environment: Mapping[str, str], *, current_directory: Path) -> Path:
    """Read LOCAL_DIRECTORY alone: its owner is found out before anything else is read."""
    return current_directory / SettingsReader(environment).read(LOCAL_DIRECTORY)


def parse_settings(environment: Mapping[str, str], *, current_directory: Path, faults: Iterable[str] = ()) -> Settings:
    """Read the settings; `faults` have been found already.

    Raises:
        SettingsError: Something is missing or wrong; all of it is in the message.
    """
    reader = SettingsReader(environment, only=SETTING_NAMES, faults=faults)
    callback = read_callback_settings(reader)
    reader.faults += [
        f"{CALLBACK_TARGETS.name} cannot be used: {name}: files are read in a cluster only; give the URL itself"
        for name in find_target_files(callback.targets)
    ]
    settings = Settings(
        directory=current_directory / reader.read(LOCAL_DIRECTORY),
        address=reader.read(BIND),
        database_url=reader.read(DATABASE_URL) or None,
        api=_read_api_settings(reader, current_directory, targets=callback.targets),
        workers=reader.read(WEB_CONCURRENCY),
        retry_delay=timedelta(seconds=reader.read(RETRY_SECONDS)),
        schedules=reader.read(SCHEDULES),
        reconciler=read_reconciler_settings(reader),
        callback=callback,
        tracing=read_tracing_settings(reader),
        program_environment=_read_program_environment(reader),
        machine_environment={name: environment[name] for name in PASSED_ON if environment.get(name)},
    )
    try:
        find_proxy(environment, settings.program_environment[ATTIC_TECH_URL.name])
    except ProxyFaultError as error:
        reader.faults.append(str(error))
    reader.raise_faults()
    return settings


def _read_api_settings(
    reader: SettingsReader, current_directory: Path, *, targets: Mapping[str, str]
) -> dict[str, str]:
    own = {each.name: text for each in (*_KEY_SETTINGS, *REQUEST_SETTINGS) if (text := reader.read_text(each))}
    # The API has another working directory.
    own |= {each.name: str(current_directory / own[each.name]) for each in KEY_FILES if each.name in own}
    # It knows the names of the targets, and not where they are.
    own |= {CALLBACK_TARGET_NAMES.name: ",".join(targets)} if targets else {}
    own |= {SYNC_METADATA.name: "true"} if reader.read(SYNC_METADATA) else {}
    try:
        estimatesync_api.settings.parse_settings({**({} if _has_keys(own) else _PLACEHOLDER_KEY), **own})
    except SettingsError as error:
        reader.faults.extend(error.faults)
    return own


def _has_keys(api: Mapping[str, str]) -> bool:
    return any(each.name in api for each in KEY_SETTINGS)


def _read_program_environment(reader: SettingsReader) -> dict[str, str]:
    return {
        **read_program_environment(reader),
        ATTIC_TECH_EMAIL.name: reader.read(ATTIC_TECH_EMAIL),
        ATTIC_TECH_PASSWORD.name: reader.read(ATTIC_TECH_PASSWORD),
    }

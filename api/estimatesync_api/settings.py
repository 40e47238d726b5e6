"""The API's settings: the table by which `main` and `gunicorn_conf` read them, once, and the values they become."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from estimatesync_contract.callback_url import is_target_name
from estimatesync_contract.settings import (
    PUBLIC_URL,
    STALE_AFTER_HOURS,
    SYNC_METADATA,
    TIME_ZONE,
    ChoiceSetting,
    FlagSetting,
    IntegerSetting,
    ParsedSetting,
    SettingsReader,
    TextSetting,
    split_list,
)
from estimatesync_contract.spec import TARGET_NAME_MAX_LENGTH
from estimatesync_kubernetes import pod_environment
from estimatesync_tracing.settings import TracingSettings, read_tracing_settings

from estimatesync_api.core.access import KeyText, Network, parse_api_keys
from estimatesync_api.core.sync_request import Features


class RepeatedRequests(StrEnum):
    """What a request without a key does while a sync of the same days is queued or running."""

    JOIN = "join"
    START = "start"


def _parse_networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(word) for word in split_list(text))
    except ValueError:
        raise ValueError("must be networks separated by commas, for example 10.0.0.0/8") from None


def _parse_target_names(text: str) -> tuple[str, ...]:
    names = tuple(split_list(text))
    if not all(is_target_name(name) for name in names):
        raise ValueError(f"must be names of a-z, 0-9 and -, at most {TARGET_NAME_MAX_LENGTH} characters each")
    return names


API_KEYS: Final = TextSetting(
    name="API_KEYS",
    meaning="What callers send as X-API-KEY: keys separated by commas or line breaks, each `name:key` or just the "
    "key, at least 16 characters; logs show the name. Make one with `openssl rand -hex 32`",
    is_secret=True,
)
API_KEY: Final = TextSetting(
    name="API_KEY", meaning="One more key, for a deployment that has a single one", is_secret=True
)
API_KEYS_FILE: Final = TextSetting(
    name="API_KEYS_FILE", meaning="A file of such keys, one per line; a change takes effect at once"
)
READ_ONLY_API_KEYS: Final = TextSetting(
    name="READ_ONLY_API_KEYS", meaning="Read-only keys: they may read everything and change nothing", is_secret=True
)
READ_ONLY_API_KEYS_FILE: Final = TextSetting(
    name="READ_ONLY_API_KEYS_FILE", meaning="A file of read-only keys, one per line"
)
KEY_SETTINGS: Final = (API_KEYS, API_KEY, API_KEYS_FILE, READ_ONLY_API_KEYS, READ_ONLY_API_KEYS_FILE)
KEY_FILES: Final = (API_KEYS_FILE, READ_ONLY_API_KEYS_FILE)
_READ_ONLY: Final = (READ_ONLY_API_KEYS, READ_ONLY_API_KEYS_FILE)

REQUESTS_PER_MINUTE: Final = IntegerSetting(
    name="REQUESTS_PER_MINUTE",
    meaning="Requests that each key may send, to each worker process; 0: no limit",
    default="1200",
    unit="per minute",
    minimum=0,
    maximum=1_000_000,
)
TRUSTED_PROXIES: Final = ParsedSetting[tuple[Network, ...]](
    name="TRUSTED_PROXIES",
    meaning="Networks of proxies whose `X-Forwarded-For` is trusted, such as `10.0.0.0/8`, separated by commas",
    parser=_parse_networks,
)
REPEATED_REQUESTS: Final = ChoiceSetting(
    name="REPEATED_REQUESTS",
    meaning="A request without Idempotency-Key for days that an unfinished sync covers: `join` it, or `start` another",
    default=RepeatedRequests.JOIN,
    choices=tuple(RepeatedRequests),
)
FOREGROUND_SECONDS: Final = IntegerSetting(
    name="FOREGROUND_SECONDS",
    meaning="How long a caller may wait for the end of a sync before a 504; 0: as long as it takes",
    default="0",
    unit="seconds",
    minimum=0,
    maximum=86_400,
)
CALLBACK_TARGET_NAMES: Final = ParsedSetting[tuple[str, ...]](
    name="CALLBACK_TARGET_NAMES",
    meaning="Names of the operator's CALLBACK_TARGETS, which a request may name as `callback`, separated by commas",
    parser=_parse_target_names,
)
STATUS_PAGE: Final = FlagSetting(name="STATUS_PAGE", meaning="Serve the status page at `/`", default="true")
STATUS_PAGE_SESSION_HOURS: Final = IntegerSetting(
    name="STATUS_PAGE_SESSION_HOURS",
    meaning="How long a person stays signed in there",
    default="8",
    unit="hours",
    minimum=1,
    maximum=720,
)
REQUEST_SETTINGS: Final = (
    *(REQUESTS_PER_MINUTE, TRUSTED_PROXIES, REPEATED_REQUESTS, FOREGROUND_SECONDS),
    *(STATUS_PAGE, STATUS_PAGE_SESSION_HOURS, STALE_AFTER_HOURS, PUBLIC_URL),
)
"""What one machine has as well as a cluster."""

BIND: Final = TextSetting(name="BIND", meaning="Address and port to listen on", default="0.0.0.0:8080")
WEB_CONCURRENCY: Final = IntegerSetting(
    name="WEB_CONCURRENCY",
    meaning="Worker processes; one serves any number of waiting callers, more only help with more cores",
    default="1",
    minimum=1,
    maximum=64,
)
SERVER_SETTINGS: Final = (BIND, WEB_CONCURRENCY)
"""What gunicorn is configured by."""

NAMESPACE: Final = TextSetting(
    name="NAMESPACE",
    meaning="The Kubernetes namespace in which syncs are created; by default the API's own",
    pattern="[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?",
    rule="must be the name of a Kubernetes namespace: a-z, 0-9 and -",
)
KUBECONFIG: Final = TextSetting(
    name="KUBECONFIG",
    meaning="Credentials for the API server when the API runs outside of a cluster; by default those of the "
    "pod's service account",
)
SERVICE_ACCOUNT_DIRECTORY: Final = TextSetting(
    name="SERVICE_ACCOUNT_DIRECTORY",
    meaning="Token, certificate and namespace of the pod's service account",
    default=pod_environment.SERVICE_ACCOUNT_DIRECTORY,
)
API_SETTINGS: Final = (
    *(*KEY_SETTINGS, *REQUEST_SETTINGS, CALLBACK_TARGET_NAMES, SYNC_METADATA, TIME_ZONE, *SERVER_SETTINGS),
    *(NAMESPACE, KUBECONFIG, SERVICE_ACCOUNT_DIRECTORY),
)


@dataclass(frozen=True, kw_only=True)
class KeyFile:
    """A file of keys, and the setting that names it."""

    source: str
    path: Path
    is_read_only: bool


@dataclass(frozen=True, kw_only=True)
class KeySettings:
    """Where keys come from."""

    texts: tuple[KeyText, ...]
    files: tuple[KeyFile, ...]


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Where gunicorn listens, and with how many processes."""

    bind: str
    workers: int


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that differs between two deployments of the API."""

    keys: KeySettings
    server: ServerSettings
    time_zone: ZoneInfo
    requests_per_minute: int
    trusted_proxies: tuple[Network, ...]
    repeated_requests: RepeatedRequests
    foreground_seconds: int
    features: Features
    has_status_page: bool
    session_hours: int
    public_url: str
    """Where people open the status page; empty where that is not known."""
    stale_after: timedelta | None
    """How long no sync need have succeeded before the status page says so; None: for ever."""
    namespace: str | None
    kubeconfig: str | None
    service_account_directory: Path
    tracing: TracingSettings


def parse_settings(environment: Mapping[str, str], *, faults: Iterable[str] = ()) -> Settings:
    """Read the settings, but not the files that they name; `faults` have been found already.

    Raises:
        SettingsError: Something is missing or wrong; all of it is in the message.
    """
    reader = SettingsReader(environment, faults=faults)
    settings = Settings(
        keys=_read_keys(reader),
        server=read_server_settings(reader),
        time_zone=reader.read(TIME_ZONE),
        requests_per_minute=reader.read(REQUESTS_PER_MINUTE),
        trusted_proxies=reader.read(TRUSTED_PROXIES),
        repeated_requests=RepeatedRequests(reader.read(REPEATED_REQUESTS)),
        foreground_seconds=reader.read(FOREGROUND_SECONDS),
        features=Features(targets=reader.read(CALLBACK_TARGET_NAMES), has_metadata=reader.read(SYNC_METADATA)),
        has_status_page=reader.read(STATUS_PAGE),
        session_hours=reader.read(STATUS_PAGE_SESSION_HOURS),
        public_url=reader.read(PUBLIC_URL),
        stale_after=timedelta(hours=hours) if (hours := reader.read(STALE_AFTER_HOURS)) else None,
        namespace=reader.read(NAMESPACE) or None,
        kubeconfig=reader.read(KUBECONFIG) or None,
        service_account_directory=Path(reader.read(SERVICE_ACCOUNT_DIRECTORY)),
        tracing=read_tracing_settings(reader),
    )
    if settings.public_url and not settings.has_status_page:
        reader.faults.append(
            f"{PUBLIC_URL.name} is the address of the status page, which {STATUS_PAGE.name} switches off"
        )
    reader.raise_faults()
    return settings


def _read_keys(reader: SettingsReader) -> KeySettings:
    given = {each: text for each in KEY_SETTINGS if (text := reader.read(each))}
    texts = tuple(
        KeyText(source=each.name, text=text, is_read_only=each in _READ_ONLY)
        for each, text in given.items()
        if each not in KEY_FILES
    )
    files = tuple(
        KeyFile(source=each.name, path=Path(path), is_read_only=each in _READ_ONLY)
        for each, path in given.items()
        if each in KEY_FILES
    )
    keys, faults = parse_api_keys(texts)
    reader.faults.extend(faults)
    if not keys and not faults and not files:
        reader.faults.append(
            f"{API_KEYS.name} is not set: give callers a key, for example make:<output of openssl rand -hex 32>"
        )
    return KeySettings(texts=texts, files=files)


def read_server_settings(reader: SettingsReader) -> ServerSettings:
    """Read what gunicorn's configuration needs; faults are left in the reader."""
    return ServerSettings(bind=reader.read(BIND), workers=reader.read(WEB_CONCURRENCY))

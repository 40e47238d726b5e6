"""What a deployment may choose, read once from the environment by `main`; every fault is told in one message.

What each variable means is in `setting_list`.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from estimatesync_contract.environment_reader import EnvironmentReader
from estimatesync_contract.job_environment import DEFAULT_TIME_ZONE
from estimatesync_tracing.settings import TracingSettings, read_tracing_settings

from estimatesync_api.client_address import Network
from estimatesync_api.keys import KeyText, parse_api_keys

FOREGROUND_SECONDS_MAX: Final = 86_400
REQUESTS_PER_MINUTE_MAX: Final = 1_000_000
SESSION_HOURS_MAX: Final = 720

SERVICE_ACCOUNT_DIRECTORY: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

KEY_TEXTS: Final = {"API_KEYS": False, "API_KEY": False, "READ_ONLY_API_KEYS": True}
"""Settings that hold keys, and whether those may only look."""
KEY_FILES: Final = {"API_KEYS_FILE": False, "READ_ONLY_API_KEYS_FILE": True}
KEY_SETTINGS: Final = (*KEY_TEXTS, *KEY_FILES)
REQUEST_SETTINGS: Final = (
    *("REQUESTS_PER_MINUTE", "TRUSTED_PROXIES", "REPEATED_REQUESTS", "FOREGROUND_SECONDS"),
    *("STATUS_PAGE", "STATUS_PAGE_SESSION_HOURS"),
)
"""What one machine has as well as a cluster."""

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class RepeatedRequests(StrEnum):
    """What a request without a key does while a sync of the same days is queued or running."""

    JOIN = "join"
    START = "start"


@dataclass(frozen=True, kw_only=True)
class KeyFile:
    """A file of keys, and the setting that names it."""

    source: str
    path: Path
    is_read_only: bool


@dataclass(frozen=True, kw_only=True)
class KeySettings:
    """Where keys come from."""

    texts: tuple[KeyText, ...] = ()
    files: tuple[KeyFile, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that differs between two deployments of the API."""

    keys: KeySettings
    time_zone: ZoneInfo
    requests_per_minute: int
    trusted_proxies: tuple[Network, ...]
    repeated_requests: RepeatedRequests
    foreground_seconds: int
    has_status_page: bool = True
    session_hours: int = 8
    namespace: str | None = None
    kubeconfig: str | None = None
    service_account_directory: Path = SERVICE_ACCOUNT_DIRECTORY
    tracing: TracingSettings = field(default_factory=TracingSettings)


def parse_settings(environment: Mapping[str, str], *, faults: Iterable[str] = ()) -> Settings:
    """Read the settings, but not the files that they name; `faults` have been found already.

    Raises:
        SettingsError: Something is missing or wrong; all of it is in the message.
    """
    reader = EnvironmentReader(environment, faults=faults)
    settings = Settings(
        keys=_read_keys(reader),
        time_zone=reader.read_time_zone("TIME_ZONE", DEFAULT_TIME_ZONE),
        requests_per_minute=reader.read_integer("REQUESTS_PER_MINUTE", 1200, low=0, high=REQUESTS_PER_MINUTE_MAX),
        trusted_proxies=_read_networks(reader),
        repeated_requests=RepeatedRequests(
            reader.read_choice("REPEATED_REQUESTS", RepeatedRequests.JOIN, tuple(RepeatedRequests))
        ),
        foreground_seconds=reader.read_integer("FOREGROUND_SECONDS", 0, low=0, high=FOREGROUND_SECONDS_MAX),
        has_status_page=reader.read_flag("STATUS_PAGE", default=True),
        session_hours=reader.read_integer("STATUS_PAGE_SESSION_HOURS", 8, low=1, high=SESSION_HOURS_MAX),
        namespace=_read_namespace(reader),
        kubeconfig=reader.read_text("KUBECONFIG", "") or None,
        service_account_directory=Path(reader.read_text("SERVICE_ACCOUNT_DIRECTORY", str(SERVICE_ACCOUNT_DIRECTORY))),
        tracing=read_tracing_settings(reader),
    )
    reader.raise_faults()
    return settings


def _read_keys(reader: EnvironmentReader) -> KeySettings:
    texts = tuple(
        KeyText(source=name, text=text, is_read_only=is_read_only)
        for name, is_read_only in KEY_TEXTS.items()
        if (text := reader.read_text(name, ""))
    )
    files = tuple(
        KeyFile(source=name, path=Path(path), is_read_only=is_read_only)
        for name, is_read_only in KEY_FILES.items()
        if (path := reader.read_text(name, ""))
    )
    keys, faults = parse_api_keys(texts)
    reader.faults.extend(faults)
    if not keys and not files:
        reader.faults.append(
            "API_KEYS is not set: give callers a key, for example make:<output of openssl rand -hex 32>"
        )
    return KeySettings(texts=texts, files=files)


def _read_networks(reader: EnvironmentReader) -> tuple[Network, ...]:
    words = [word.strip() for word in reader.read_text("TRUSTED_PROXIES", "").split(",") if word.strip()]
    try:
        return tuple(ipaddress.ip_network(word) for word in words)
    except ValueError:
        reader.faults.append("TRUSTED_PROXIES must be networks separated by commas, for example 10.0.0.0/8")
        return ()


def _read_namespace(reader: EnvironmentReader) -> str | None:
    name = reader.read_text("NAMESPACE", "")
    if name and not _NAMESPACE.fullmatch(name):
        reader.faults.append("NAMESPACE must be the name of a Kubernetes namespace: a-z, 0-9 and -")
    return name or None

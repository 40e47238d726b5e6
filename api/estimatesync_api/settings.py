"""What a deployment may choose, read once from the environment by `main`; every fault is told in one message.

| Variable | Default | Meaning |
|---|---|---|
| `API_KEYS` | required | Keys separated by commas or line breaks: `name:key`, or just the key; logs show the name |
| `API_KEY` | | One more key, for a deployment that has a single one |
| `TIME_ZONE` | `UTC` | IANA name of the zone whose calendar says which day is today |
| `NAMESPACE` | the API's own | Kubernetes namespace in which syncs are created |
| `KUBECONFIG` | the pod's service account | Credentials for the API server when the API runs outside a cluster |
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from estimatesync_contract.environment_reader import EnvironmentReader
from estimatesync_contract.job_environment import DEFAULT_TIME_ZONE

from estimatesync_api.keys import ApiKey, build_api_key

KEY_MIN_LENGTH: Final = 16
"""Shorter keys can be guessed; 128 random bits are 22 characters of base64 or 32 of hex."""

_NAMED_KEY: Final = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]{0,31}):(?P<key>.*)")
_KEY: Final = re.compile(r"[!-~]+")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that differs between two deployments of the API."""

    api_keys: tuple[ApiKey, ...]
    time_zone: ZoneInfo
    namespace: str | None = None
    kubeconfig: str | None = None


def parse_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: Something is missing or wrong; all of it is in the message.
    """
    reader = EnvironmentReader(environment)
    settings = Settings(
        api_keys=_read_api_keys(reader),
        time_zone=reader.read_time_zone("TIME_ZONE", DEFAULT_TIME_ZONE),
        namespace=_read_namespace(reader),
        kubeconfig=reader.read_text("KUBECONFIG", "") or None,
    )
    reader.raise_faults()
    return settings


def _read_api_keys(reader: EnvironmentReader) -> tuple[ApiKey, ...]:
    listed = ",".join(reader.read_text(variable, "") for variable in ("API_KEYS", "API_KEY"))
    entries = [entry.strip() for entry in re.split(r"[,\r\n]", listed) if entry.strip()]
    if not entries:
        reader.faults.append(
            "API_KEYS is not set: give callers a key, for example make:<output of openssl rand -hex 32>"
        )
    keys = tuple(_parse_api_key(entry, position, reader.faults) for position, entry in enumerate(entries, start=1))
    if len({key.name for key in keys}) < len(keys):
        reader.faults.append("API_KEYS must not give two keys the same name")
    if len({key.digest for key in keys}) < len(keys):
        reader.faults.append("API_KEYS must not hold the same key twice")
    return keys


def _parse_api_key(entry: str, position: int, faults: list[str]) -> ApiKey:
    named = _NAMED_KEY.fullmatch(entry)
    name, key = (named["name"], named["key"]) if named else (f"key-{position}", entry)
    if len(key) < KEY_MIN_LENGTH:
        faults.append(
            f"API_KEYS must not hold keys of less than {KEY_MIN_LENGTH} characters, like the one named {name}"
        )
    if not _KEY.fullmatch(key):
        faults.append(f"API_KEYS must hold printable ASCII without spaces; the key named {name} holds something else")
    return build_api_key(name=name, key=key)


def _read_namespace(reader: EnvironmentReader) -> str | None:
    name = reader.read_text("NAMESPACE", "")
    if name and not _NAMESPACE.fullmatch(name):
        reader.faults.append("NAMESPACE must be the name of a Kubernetes namespace: a-z, 0-9 and -")
    return name or None

"""The settings of the command line, and those of a deployment that `doctor` tries itself where they are known. Pure."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from estimatesync_contract.api_keys import iterate_keys
from estimatesync_contract.refused_login import Credentials
from estimatesync_contract.settings import (
    ALERT_URL,
    ATTIC_TECH_EMAIL,
    ATTIC_TECH_PASSWORD,
    ATTIC_TECH_URL,
    CALLBACK_ALLOW_HTTP,
    CALLBACK_ALLOW_PRIVATE_TARGETS,
    CALLBACK_TARGETS,
    CALLBACK_URL,
    DATABASE_SCHEMA,
    DATABASE_URL,
    STALE_AFTER_HOURS,
    SYNC_LOGIN_RETRY,
    SettingsReader,
    TextSetting,
    is_http_url,
)

from estimatesync_client.core.diagnoses import KEY_PLACE
from estimatesync_client.core.errors import UsageError
from estimatesync_client.core.problems import KEY_FILE_VARIABLE, KEY_VARIABLE, URL_VARIABLE

DEFAULT_URL: Final = "http://127.0.0.1:8080"

API_URL: Final = TextSetting(
    name=URL_VARIABLE, meaning="Address of the API, by default that of `make local`", default=DEFAULT_URL
)
API_KEY: Final = TextSetting(
    name=KEY_VARIABLE,
    meaning=f"One of the API's keys; it, or {KEY_FILE_VARIABLE}, is required. There is no option for it, since command "
    "lines are public on a machine",
    is_secret=True,
)
API_KEY_FILE: Final = TextSetting(
    name=KEY_FILE_VARIABLE,
    meaning=f"File that holds the key, or several in the form of API_KEYS, of which the first is used; where "
    f"{KEY_VARIABLE} is not set",
)
API_KEY_NAME: Final = TextSetting(name="ESTIMATESYNC_API_KEY_NAME", meaning="Name of the key to use of that file")
CLIENT_SETTINGS: Final = (API_URL, API_KEY, API_KEY_FILE, API_KEY_NAME)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the API is, without a trailing slash."""

    url: str

    @property
    def host(self) -> str:
        """The name or address in it."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_encrypted(self) -> bool:
        """True when the key cannot be read on the network."""
        return self.url.startswith("https://")

    @property
    def is_here(self) -> bool:
        """True for this machine, which is never reached through a proxy."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """The key, hidden from repr."""

    value: str = field(repr=False)


def parse_address(text: str) -> Address:
    """Parse the URL of the API; a path in it is a prefix that a proxy adds.

    Raises:
        UsageError: it is not such a URL.
    """
    url = text.strip() or DEFAULT_URL
    if not is_http_url(url):
        raise UsageError(f"{URL_VARIABLE} is not a URL such as https://sync.example.com.")
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            f"{URL_VARIABLE} must not hold a user, a password, a query or a fragment.",
            cure=f"Leave only scheme, host, port and path; the key goes into {KEY_VARIABLE}",
        )
    return Address(url=url.rstrip("/"))


def parse_key(environment: Mapping[str, str]) -> ApiKey:
    """Parse the key; blanks around it, such as a file's line end, do not matter.

    Raises:
        UsageError: it is not set, its file does not hold it, or no header can carry it.
    """
    reader = SettingsReader(environment)
    file, name = reader.read(API_KEY_FILE), reader.read(API_KEY_NAME)
    value = reader.read_text(API_KEY) or (_read_key_file(Path(file), name) if file else "")
    if not value:
        raise UsageError(
            f"{KEY_VARIABLE} is not set.",
            cure=f"Set it to one of the API's keys; on one machine, set {KEY_FILE_VARIABLE} to {KEY_PLACE}",
        )
    if not (value.isascii() and value.isprintable()):
        raise UsageError(
            f"{KEY_VARIABLE} contains characters that no key has.", cure="Copy it again; a key is printable ASCII"
        )
    return ApiKey(value=value)


def _read_key_file(file: Path, name: str) -> str:
    try:
        text = file.read_text(errors="replace")
    except OSError as error:
        raise UsageError(f"{KEY_FILE_VARIABLE}: {file} cannot be read: {error.strerror}.") from error
    for found, key in iterate_keys(text):
        if not name or found == name:
            return key
    raise UsageError(
        f"{KEY_FILE_VARIABLE}: {file} holds no key{f' named {name}' if name else ''}.",
        cure="Write it there as in API_KEYS, one NAME:KEY in each line",
    )


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """Attic Tech and an account there, and whether a person wants it tried once more."""

    url: str
    email: str = field(repr=False)
    password: str = field(repr=False)
    retry: str = ""

    @property
    def credentials(self) -> Credentials:
        """What syncs log in with."""
        return Credentials(url=self.url, email=self.email, password=self.password, retry=self.retry)


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """PostgreSQL and the schema to work in."""

    url: str = field(repr=False)
    schema: str


@dataclass(frozen=True, kw_only=True)
class CallbackSettings:
    """A webhook, and what is allowed besides a public https address."""

    setting: str
    """Where its URL is set, for people."""
    url: str = field(repr=False)
    allow_http: bool
    allow_private: bool


@dataclass(frozen=True, kw_only=True)
class DeploymentSettings:
    """What is known here of a deployment; None where `doctor` goes by recent syncs instead."""

    source: SourceSettings | None
    database: DatabaseSettings | None
    callbacks: tuple[CallbackSettings, ...]
    """The webhook of all syncs that name none first, then those with a name, and that of alerts."""
    stale_after: timedelta | None
    """How long no sync need have succeeded; None: for ever."""


def parse_deployment(environment: Mapping[str, str]) -> DeploymentSettings:
    """Read what is set, unchecked: each probe reports what is wrong with its own."""
    reader = SettingsReader(environment)
    return DeploymentSettings(
        source=_read_source(reader),
        database=_read_database(reader),
        callbacks=_read_callbacks(reader),
        stale_after=timedelta(hours=hours) if (hours := reader.read(STALE_AFTER_HOURS)) else None,
    )


def _read_source(reader: SettingsReader) -> SourceSettings | None:
    email, password = reader.read_text(ATTIC_TECH_EMAIL), reader.read_text(ATTIC_TECH_PASSWORD)
    if not (email and password):
        return None
    url = reader.read_text(ATTIC_TECH_URL) or ATTIC_TECH_URL.default
    return SourceSettings(url=url.rstrip("/"), email=email, password=password, retry=reader.read_text(SYNC_LOGIN_RETRY))


def _read_database(reader: SettingsReader) -> DatabaseSettings | None:
    url = reader.read_text(DATABASE_URL)
    schema = reader.read_text(DATABASE_SCHEMA) or DATABASE_SCHEMA.default
    return DatabaseSettings(url=url, schema=schema) if url else None


def _read_callbacks(reader: SettingsReader) -> tuple[CallbackSettings, ...]:
    """One whose URL is in a file is left out: that is on another machine, where the operator is."""
    named = {f"{CALLBACK_TARGETS.name} ({name})": place for name, place in reader.read(CALLBACK_TARGETS).items()}
    urls = {CALLBACK_URL.name: reader.read_text(CALLBACK_URL), **named, ALERT_URL.name: reader.read_text(ALERT_URL)}
    allow_http, allow_private = reader.read(CALLBACK_ALLOW_HTTP), reader.read(CALLBACK_ALLOW_PRIVATE_TARGETS)
    return tuple(
        CallbackSettings(setting=setting, url=url, allow_http=allow_http, allow_private=allow_private)
        for setting, url in urls.items()
        if url and not url.startswith("/")
    )

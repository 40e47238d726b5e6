"""The settings of a deployment that `doctor` may try itself, when they are in the environment or in a file. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from estimatesync_contract.settings import (
    ATTIC_TECH_EMAIL,
    ATTIC_TECH_PASSWORD,
    ATTIC_TECH_URL,
    CALLBACK_ALLOW_HTTP,
    CALLBACK_ALLOW_PRIVATE_TARGETS,
    CALLBACK_URL,
    DATABASE_SCHEMA,
    DATABASE_URL,
    SettingsReader,
)


@dataclass(frozen=True, kw_only=True)
class SourceLogin:
    """Attic Tech and an account there."""

    url: str
    email: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class DatabaseTarget:
    """PostgreSQL and the schema to work in."""

    url: str = field(repr=False)
    schema: str


@dataclass(frozen=True, kw_only=True)
class CallbackTarget:
    """The webhook, and what else than a public https address is allowed."""

    url: str = field(repr=False)
    allow_http: bool
    allow_private: bool


@dataclass(frozen=True, kw_only=True)
class TargetSettings:
    """What is known here of a deployment; None: not known, so syncs must tell."""

    source: SourceLogin | None
    database: DatabaseTarget | None
    callback: CallbackTarget | None


def parse_targets(environment: Mapping[str, str]) -> TargetSettings:
    """Read what there is, as it is written: each check says what is wrong with its own."""
    reader = SettingsReader(environment)
    return TargetSettings(source=_read_source(reader), database=_read_database(reader), callback=_read_callback(reader))


def _read_source(reader: SettingsReader) -> SourceLogin | None:
    email, password = reader.read_text(ATTIC_TECH_EMAIL), reader.read_text(ATTIC_TECH_PASSWORD)
    if not (email and password):
        return None
    url = reader.read_text(ATTIC_TECH_URL) or ATTIC_TECH_URL.default
    return SourceLogin(url=url.rstrip("/"), email=email, password=password)


def _read_database(reader: SettingsReader) -> DatabaseTarget | None:
    url = reader.read_text(DATABASE_URL)
    schema = reader.read_text(DATABASE_SCHEMA) or DATABASE_SCHEMA.default
    return DatabaseTarget(url=url, schema=schema) if url else None


def _read_callback(reader: SettingsReader) -> CallbackTarget | None:
    url = reader.read_text(CALLBACK_URL)
    if not url:
        return None
    return CallbackTarget(
        url=url,
        allow_http=reader.read(CALLBACK_ALLOW_HTTP),
        allow_private=reader.read(CALLBACK_ALLOW_PRIVATE_TARGETS),
    )

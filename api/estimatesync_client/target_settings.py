"""The settings of a deployment that `doctor` may try itself, when they are in the environment or in a file. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from estimatesync_contract import job_environment as job
from estimatesync_contract.environment_reader import EnvironmentReader

WEBHOOK_URL: Final = "MAKE_SYNC_CALLBACK_WEBHOOK_URL"
ALLOW_HTTP: Final = "CALLBACK_ALLOW_HTTP"
ALLOW_PRIVATE_TARGETS: Final = "CALLBACK_ALLOW_PRIVATE_TARGETS"


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
    """Read what there is, by the rules of the parts that use it."""
    reader = EnvironmentReader(environment)
    return TargetSettings(
        source=_read_source(reader, environment), database=_read_database(reader), callback=_read_callback(reader)
    )


def _read_source(reader: EnvironmentReader, environment: Mapping[str, str]) -> SourceLogin | None:
    email = reader.read_text(job.ATTIC_TECH_EMAIL, "")
    # A blank at either end may belong to a password, a line end never does.
    password = environment.get(job.ATTIC_TECH_PASSWORD, "").strip("\r\n")
    if not (email and password.strip()):
        return None
    url = reader.read_text(job.ATTIC_TECH_URL, job.DEFAULT_ATTIC_TECH_URL).rstrip("/")
    return SourceLogin(url=url, email=email, password=password)


def _read_database(reader: EnvironmentReader) -> DatabaseTarget | None:
    url = reader.read_text(job.DATABASE_URL, "")
    schema = reader.read_text(job.DATABASE_SCHEMA, job.DEFAULT_DATABASE_SCHEMA)
    return DatabaseTarget(url=url, schema=schema) if url else None


def _read_callback(reader: EnvironmentReader) -> CallbackTarget | None:
    url = reader.read_text(WEBHOOK_URL, "")
    if not url:
        return None
    return CallbackTarget(
        url=url,
        allow_http=reader.read_flag(ALLOW_HTTP, default=False),
        allow_private=reader.read_flag(ALLOW_PRIVATE_TARGETS, default=False),
    )

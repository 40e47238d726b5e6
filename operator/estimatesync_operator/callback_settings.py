"""How callbacks are configured: read once from the environment when the operator starts, all faults at once.

`main` calls it and joins the faults with those of the other settings. No fault repeats a value: most are secrets.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from estimatesync_contract.callback_url import parse_target
from estimatesync_contract.environment_reader import EnvironmentReader
from estimatesync_contract.spec import DNS_SUBDOMAIN_PATTERN

from estimatesync_operator.callback.signature import SigningSecretError, parse_signing_secret

WEBHOOK_URL: Final = "MAKE_SYNC_CALLBACK_WEBHOOK_URL"
SIGNING_SECRETS: Final = "CALLBACK_SIGNING_SECRETS"
MAKE_API_KEY: Final = "CALLBACK_MAKE_API_KEY"
ALLOW_HTTP: Final = "CALLBACK_ALLOW_HTTP"
ALLOW_PRIVATE_TARGETS: Final = "CALLBACK_ALLOW_PRIVATE_TARGETS"
ALLOWED_SECRETS: Final = "CALLBACK_ALLOWED_SECRETS"
SETTING_NAMES: Final = (WEBHOOK_URL, SIGNING_SECRETS, MAKE_API_KEY, ALLOW_HTTP, ALLOW_PRIVATE_TARGETS, ALLOWED_SECRETS)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackSettings:
    """Where callbacks go by default, how they are authenticated, and what else is allowed."""

    default_url: str | None = field(default=None, repr=False)
    """The webhook of every sync that names none; None: such syncs have no callback."""
    signing_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """One signature each; several while secrets are rotated."""
    make_api_key: str | None = field(default=None, repr=False)
    """Sent to every target, as `x-make-apikey`."""
    allow_insecure: bool = False
    """Plain http is accepted."""
    allow_private: bool = False
    """Private networks and loopback are accepted."""
    allowed_secrets: frozenset[str] = frozenset()
    """Names of the Secrets that a sync may take its URL from."""
    user_agent: str = "estimatesync"
    connect_seconds: float = 5.0
    """For TCP, and again for TLS."""
    total_seconds: float = 15.0
    """From the look-up of the name to the last byte that is read."""


def read_callback_settings(reader: EnvironmentReader) -> CallbackSettings:
    """Read the settings; faults are left in the reader. What is absent or blank has its default."""
    allow_insecure = reader.read_flag(ALLOW_HTTP, default=False)
    return CallbackSettings(
        default_url=_read(reader, WEBHOOK_URL, lambda url: _parse_url(url, allow_insecure=allow_insecure)),
        signing_keys=_read(reader, SIGNING_SECRETS, _parse_signing_secrets) or (),
        make_api_key=_read(reader, MAKE_API_KEY, _parse_api_key),
        allow_insecure=allow_insecure,
        allow_private=reader.read_flag(ALLOW_PRIVATE_TARGETS, default=False),
        allowed_secrets=_read(reader, ALLOWED_SECRETS, _parse_secret_names) or frozenset(),
    )


def _read(reader: EnvironmentReader, name: str, parse: Callable[[str], T]) -> T | None:
    text = reader.read_text(name, "")
    try:
        return parse(text) if text else None
    except ValueError as error:
        reader.faults.append(f"{name} cannot be used: {error}")
        return None


def _parse_url(url: str, *, allow_insecure: bool) -> str:
    parse_target(url, allow_insecure=allow_insecure)
    return url


def _parse_signing_secrets(text: str) -> tuple[bytes, ...]:
    """Accept commas, spaces and line ends between secrets; none of them occurs within one."""
    return tuple(_parse_numbered_secret(number, secret) for number, secret in enumerate(_split(text), start=1))


def _parse_numbered_secret(number: int, secret: str) -> bytes:
    try:
        return parse_signing_secret(secret)
    except SigningSecretError as error:
        raise ValueError(f"secret {number} {error}") from None


def _parse_api_key(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("it must be one line of printable ASCII characters")
    return text


def _parse_secret_names(text: str) -> frozenset[str]:
    names = _split(text)
    for number, name in enumerate(names, start=1):
        if not re.fullmatch(DNS_SUBDOMAIN_PATTERN, name):
            raise ValueError(f"entry {number} cannot be the name of a Secret")
    return frozenset(names)


def _split(text: str) -> list[str]:
    return text.replace(",", " ").split()

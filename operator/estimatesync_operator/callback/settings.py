"""The callback's settings: the table by which they are read when the operator starts, and the values they become."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from estimatesync_contract.callback_url import TargetRefusedError, parse_target
from estimatesync_contract.settings import (
    ALERT_URL,
    CALLBACK_ALLOW_HTTP,
    CALLBACK_ALLOW_PRIVATE_TARGETS,
    CALLBACK_TARGETS,
    CALLBACK_URL,
    ParsedSetting,
    Setting,
    SettingsReader,
    TextSetting,
)
from estimatesync_contract.spec import DNS_SUBDOMAIN_PATTERN

from estimatesync_operator.callback.signature import SigningSecretError, parse_signing_secret


def _parse_signing_secrets(text: str) -> tuple[bytes, ...]:
    return tuple(_parse_numbered_secret(number, secret) for number, secret in enumerate(_split(text), start=1))


def _parse_numbered_secret(number: int, secret: str) -> bytes:
    try:
        return parse_signing_secret(secret)
    except SigningSecretError as error:
        raise ValueError(f"cannot be used: secret {number} {error}") from None


def _parse_secret_names(text: str) -> frozenset[str]:
    names = _split(text)
    for number, name in enumerate(names, start=1):
        if not re.fullmatch(DNS_SUBDOMAIN_PATTERN, name):
            raise ValueError(f"cannot be used: entry {number} cannot be the name of a Secret")
    return frozenset(names)


def _split(text: str) -> list[str]:
    """Accept commas, spaces and line ends between entries; none of them occurs within one."""
    return text.replace(",", " ").split()


SIGNING_SECRETS: Final = ParsedSetting[tuple[bytes, ...]](
    name="CALLBACK_SIGNING_SECRETS",
    meaning="Sign callbacks by Standard Webhooks: `whsec_…` secrets separated by commas, several while one "
    "replaces another",
    is_secret=True,
    parser=_parse_signing_secrets,
)
MAKE_API_KEY: Final = TextSetting(
    name="CALLBACK_MAKE_API_KEY",
    meaning="Sent as `x-make-apikey`, for a webhook that has API keys",
    is_secret=True,
    pattern="[ -~]*",
    rule="cannot be used: it must be one line of printable ASCII characters",
)
ALLOWED_SECRETS: Final = ParsedSetting[frozenset[str]](
    name="CALLBACK_ALLOWED_SECRETS",
    meaning="Names of the Secrets that a sync may take its own URL from (`spec.callback.urlSecretRef`), "
    "separated by commas",
    parser=_parse_secret_names,
)


class FileSetting(TextSetting, frozen=True, kw_only=True):
    """A file in the place of another setting, such as one key of a mounted Secret.

    Attributes:
        content: the setting that the file holds.
        is_content_required: the file must be there, and not empty; another that is not there, or empty, sets nothing.
    """

    content: Setting[Any]
    is_content_required: bool = False


CALLBACK_FILES: Final = (
    FileSetting(
        name=f"{CALLBACK_URL.name}_FILE",
        meaning="A file with the URL, in the place of the setting; a change takes effect within a second",
        content=CALLBACK_URL,
        is_content_required=True,
    ),
    FileSetting(
        name=f"{SIGNING_SECRETS.name}_FILE",
        meaning="The same for the signing secrets; it need not exist",
        content=SIGNING_SECRETS,
    ),
    FileSetting(
        name=f"{MAKE_API_KEY.name}_FILE", meaning="The same for this key; it need not exist", content=MAKE_API_KEY
    ),
    FileSetting(
        name=f"{ALERT_URL.name}_FILE", meaning="The same for the URL of alerts; it need not exist", content=ALERT_URL
    ),
)
CALLBACK_SETTINGS: Final = (
    *(CALLBACK_URL, SIGNING_SECRETS, MAKE_API_KEY),
    *(CALLBACK_TARGETS, ALERT_URL, CALLBACK_ALLOW_HTTP, CALLBACK_ALLOW_PRIVATE_TARGETS, ALLOWED_SECRETS),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackSettings:
    """Where callbacks go by default, how they are authenticated, and what else is allowed."""

    default_url: str | None = field(default=None, repr=False)
    """The webhook of every sync that names none; None: such syncs have no callback."""
    targets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further webhooks by name: their URLs, or absolute paths of files where these are; empty: not usable now."""
    alert_url: str | None = field(default=None, repr=False)
    """Another webhook, for alerts; None: none are sent."""
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


def read_callback_settings(reader: SettingsReader) -> CallbackSettings:
    """Read the settings; faults are left in the reader."""
    allow_insecure = reader.read(CALLBACK_ALLOW_HTTP)
    return CallbackSettings(
        default_url=_read_url(reader, CALLBACK_URL, allow_insecure=allow_insecure),
        alert_url=_read_url(reader, ALERT_URL, allow_insecure=allow_insecure),
        targets=_read_targets(reader, allow_insecure=allow_insecure),
        signing_keys=reader.read(SIGNING_SECRETS),
        make_api_key=reader.read(MAKE_API_KEY) or None,
        allow_insecure=allow_insecure,
        allow_private=reader.read(CALLBACK_ALLOW_PRIVATE_TARGETS),
        allowed_secrets=reader.read(ALLOWED_SECRETS),
    )


def find_target_files(targets: Mapping[str, str]) -> dict[str, str]:
    """Find the targets whose URL is in a file, and its path."""
    return {name: place for name, place in targets.items() if place.startswith("/")}


def _read_url(reader: SettingsReader, setting: TextSetting, *, allow_insecure: bool) -> str | None:
    url = reader.read(setting)
    try:
        return url if url and parse_target(url, allow_insecure=allow_insecure) else None
    except TargetRefusedError as error:
        reader.faults.append(f"{setting.name} cannot be used: {error}")
        return None


def _read_targets(reader: SettingsReader, *, allow_insecure: bool) -> Mapping[str, str]:
    targets = reader.read(CALLBACK_TARGETS)
    files = find_target_files(targets)
    for name, url in targets.items():
        if name in files:
            continue
        try:
            parse_target(url, allow_insecure=allow_insecure)
        except TargetRefusedError as error:
            reader.faults.append(f"{CALLBACK_TARGETS.name} cannot be used: {name}: {error}")
    return targets

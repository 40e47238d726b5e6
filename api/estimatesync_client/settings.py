"""The command line's settings: where the API is, and the key. Pure; `commands` calls it."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from estimatesync_contract.settings import SettingsReader, TextSetting, is_http_url

from estimatesync_client.core.errors import UsageError

URL_VARIABLE: Final = "ESTIMATESYNC_URL"
KEY_VARIABLE: Final = "ESTIMATESYNC_API_KEY"
DEFAULT_URL: Final = "http://127.0.0.1:8080"

API_URL: Final = TextSetting(
    name=URL_VARIABLE, meaning="Where the API is: that of `make local` unless told otherwise", default=DEFAULT_URL
)
API_KEY: Final = TextSetting(
    name=KEY_VARIABLE,
    meaning="One of the API's keys; there is no option for it, since command lines are public on a machine",
    is_required=True,
    is_secret=True,
)
CLIENT_SETTINGS: Final = (API_URL, API_KEY)


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
        """True when nobody on the way can read the key."""
        return self.url.startswith("https://")

    @property
    def is_here(self) -> bool:
        """True for this very machine, to which no proxy leads."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """The key, hidden from whatever shows this value."""

    value: str = field(repr=False)


def parse_address(text: str) -> Address:
    """Read the URL of the API; a path in it is a prefix that a proxy has added.

    Raises:
        UsageError: It is none.
    """
    url = text.strip() or DEFAULT_URL
    if not is_http_url(url) or not _is_host_name(Address(url=url).host):
        raise UsageError(f"{URL_VARIABLE} is not an address such as https://sync.example.com.")
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            f"{URL_VARIABLE} must not hold a user, a password, a query or a fragment.",
            cure=f"Leave only scheme, host, port and path; the key goes into {KEY_VARIABLE}",
        )
    return Address(url=url.rstrip("/"))


def _is_host_name(host: str) -> bool:
    """Find a label that DNS does not know here, and not in the middle of a request."""
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def parse_key(environment: Mapping[str, str]) -> ApiKey:
    """Read the key; a file's line end around it does not matter.

    Raises:
        UsageError: There is none, or no header can carry it.
    """
    value = SettingsReader(environment).read_text(API_KEY)
    if not value:
        raise UsageError(
            f"{KEY_VARIABLE} is not set.",
            cure=f'Set it to one of the API\'s keys; on one machine: export {KEY_VARIABLE}="$(cat .local/api-key)"',
        )
    if not (value.isascii() and value.isprintable()):
        raise UsageError(
            f"{KEY_VARIABLE} holds characters that no key has.", cure="Copy it again; a key is printable ASCII"
        )
    return ApiKey(value=value)

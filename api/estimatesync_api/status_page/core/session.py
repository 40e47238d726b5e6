"""Who is signed in, and whether a form was sent by one of our own pages. Pure.

A session is a cookie that can be verified without any storage, so every replica can check it. It names an API key and
an expiry time, sealed with a secret derived from that key. Removing or replacing a key therefore ends its sessions at
once, everywhere; the rights of the key are checked with each request. Form tokens are sealed the same way, each for one
address and one session, so that no other site can send a form in a user's name.
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from estimatesync_api.core.access import ApiKey

SECURE_COOKIE: Final = "__Host-estimatesync"
"""Browsers take this name only over https, for one host, for all paths, so no other host can set it."""
PLAIN_COOKIE: Final = "estimatesync"
"""Used without https, as on one machine."""

_VERSION: Final = "1"
_SEPARATOR: Final = "."
_COOKIE_MAX_LENGTH: Final = 256
_OWN_SITES: Final = frozenset({"same-origin", "none"})
"""`none`: opened by the user directly, from a bookmark or the address bar."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """A browser that has presented a valid key."""

    key: ApiKey
    expires_at: int
    """Seconds since 1970."""
    nonce: str
    """Random; no two sessions have the same tokens."""
    cookie: str = field(repr=False)


def choose_cookie_name(*, is_secure: bool) -> str:
    """Name the cookie for a connection."""
    return SECURE_COOKIE if is_secure else PLAIN_COOKIE


def build_session(key: ApiKey, *, now: datetime, hours: int, nonce: str) -> Session:
    """Start a session; `nonce` is random text of `0-9a-f`."""
    expires_at = int(now.timestamp()) + hours * 3600
    words = _SEPARATOR.join((_VERSION, _compute_key_id(key), str(expires_at), nonce))
    cookie = f"{words}{_SEPARATOR}{_seal(key, 'session', words)}"
    return Session(key=key, expires_at=expires_at, nonce=nonce, cookie=cookie)


def find_session(cookie: str, keys: Iterable[ApiKey], *, now: datetime) -> Session | None:
    """Verify a cookie; None when it is not a session that is valid now."""
    parts = cookie.split(_SEPARATOR) if len(cookie) <= _COOKIE_MAX_LENGTH and cookie.isascii() else []
    if len(parts) != 5 or parts[0] != _VERSION or not parts[2].isdigit():  # noqa: PLR2004 - as many as are written
        return None
    _, key_id, expires_at, nonce, seal = parts
    key = next((key for key in keys if hmac.compare_digest(_compute_key_id(key), key_id)), None)
    if key is None or not hmac.compare_digest(_seal(key, "session", cookie[: -len(seal) - 1]), seal):
        return None
    if int(expires_at) <= now.timestamp():
        return None
    return Session(key=key, expires_at=int(expires_at), nonce=nonce, cookie=cookie)


def build_form_token(session: Session, address: str, *, nonce: str) -> str:
    """Build the token of one form; `nonce`, random text of `0-9a-f`, identifies the form and what it starts."""
    return f"{nonce}{_SEPARATOR}{_seal_form(session, address, nonce)}"


def read_form_nonce(session: Session, address: str, token: str) -> str | None:
    """Verify the token of a form; returns its nonce, or None when it is not of this session and address."""
    nonce, _, seal = token.partition(_SEPARATOR)
    is_ours = token.isascii() and hmac.compare_digest(_seal_form(session, address, nonce), seal)
    return nonce if is_ours else None


def _seal_form(session: Session, address: str, nonce: str) -> str:
    return _seal(session.key, "form", "\n".join((session.nonce, str(session.expires_at), address, nonce)))


def _compute_key_id(key: ApiKey) -> str:
    return _seal(key, "key id", "")[:16]


def _seal(key: ApiKey, purpose: str, words: str) -> str:
    """Seal text with the digest of a key, which only holders of the key can compute."""
    secret = hmac.new(key.digest, f"estimatesync status page {purpose}".encode(), hashlib.sha256).digest()
    return hmac.new(secret, words.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The scheme and host in the address bar of the browser."""

    is_secure: bool
    host: str
    """With the port, unless it is the default one."""

    @property
    def url(self) -> str:
        """The address of this server, without a path."""
        return f"{'https' if self.is_secure else 'http'}://{self.host}"

    @property
    def is_exposed(self) -> bool:
        """True if others on the network path can read what is sent."""
        return not self.is_secure and not is_this_machine(self.url)


def read_origin(*, scheme: str, host: str, headers: Mapping[str, str], is_proxy_trusted: bool) -> Origin:
    """Find the origin under which the browser reached us.

    X-Forwarded-Proto is believed from anyone: https can only make the cookie stricter. X-Forwarded-Host is believed
    from a trusted proxy alone, since it decides whose forms are accepted.

    Args:
        scheme: Of the connection.
        host: The Host header.
        headers: X-Forwarded-Proto and X-Forwarded-Host, in upper case, if there are any.
        is_proxy_trusted: The connection comes from one of the trusted proxies.
    """
    claimed = _first(headers.get("X-FORWARDED-PROTO", ""))
    forwarded_host = _first(headers.get("X-FORWARDED-HOST", "")) if is_proxy_trusted else ""
    return Origin(is_secure="https" in {scheme, claimed.lower()}, host=(forwarded_host or host).lower())


def is_from_own_page(origin: Origin, *, fetch_site: str, sent_origin: str) -> bool:
    """Return whether a form was sent by one of our own pages.

    Args:
        origin: Under which the browser reached us.
        fetch_site: Sec-Fetch-Site, which browsers send over https and to this machine, and no page can forge.
        sent_origin: The Origin header, which every browser sends along with a form for another site.
    """
    if fetch_site:
        return fetch_site in _OWN_SITES
    # Neither header: not a browser, so no session can be misused.
    return not sent_origin or sent_origin.partition("://")[2].lower() == origin.host


def is_this_machine(url: str) -> bool:
    """Return whether a URL is that of this machine alone; one that is not valid counts as another's."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _first(text: str) -> str:
    return text.partition(",")[0].strip()

"""Who is signed in: a cookie that proves itself, so that nothing is stored and any replica can check it. Pure.

The cookie names an API key and an end, sealed with a secret derived from that key. A key that is removed or replaced
ends its sessions at once, everywhere; what the key may do is asked anew with each request. Form tokens are sealed
alike, each for one address and one session, so that no other site can send a form in a person's name.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from estimatesync_api.keys import ApiKey

SECURE_COOKIE: Final = "__Host-estimatesync"
"""Browsers take this name only over https, for one host, for all paths: nobody else can set it."""
PLAIN_COOKIE: Final = "estimatesync"
"""Without https, as on this very machine."""

_VERSION: Final = "1"
_SEPARATOR: Final = "."
_SEAL_LENGTH: Final = 64
_COOKIE_MAX_LENGTH: Final = 256


@dataclass(frozen=True, kw_only=True)
class Session:
    """Somebody who has shown a key."""

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
    """Begin a session; `nonce` is some random text of `0-9a-f`."""
    expires_at = int(now.timestamp()) + hours * 3600
    words = _SEPARATOR.join((_VERSION, _compute_key_id(key), str(expires_at), nonce))
    cookie = f"{words}{_SEPARATOR}{_seal(key, 'session', words)}"
    return Session(key=key, expires_at=expires_at, nonce=nonce, cookie=cookie)


def find_session(cookie: str, keys: Iterable[ApiKey], *, now: datetime) -> Session | None:
    """Read a cookie; None when it is no session that is valid now."""
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
    """Make the token of one form: `nonce`, random text of `0-9a-f`, names the form, and what it starts."""
    return f"{nonce}{_SEPARATOR}{_seal_form(session, address, nonce)}"


def read_form_nonce(session: Session, address: str, token: str) -> str | None:
    """Check a token that came with a form; answers its nonce, or None when it is not of this session and address."""
    nonce, _, seal = token.partition(_SEPARATOR)
    is_ours = token.isascii() and hmac.compare_digest(_seal_form(session, address, nonce), seal)
    return nonce if is_ours else None


def _seal_form(session: Session, address: str, nonce: str) -> str:
    return _seal(session.key, "form", "\n".join((session.nonce, str(session.expires_at), address, nonce)))


def _compute_key_id(key: ApiKey) -> str:
    return _seal(key, "key id", "")[:16]


def _seal(key: ApiKey, purpose: str, words: str) -> str:
    """The digest of a key is known to this process alone; nobody can compute it but who has the key."""
    secret = hmac.new(key.digest, f"estimatesync status page {purpose}".encode(), hashlib.sha256).digest()
    return hmac.new(secret, words.encode(), hashlib.sha256).hexdigest()[:_SEAL_LENGTH]

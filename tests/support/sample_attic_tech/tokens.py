"""Login tokens as Payload signs them: a JWT (RFC 7519) with HMAC-SHA256, checked without any state."""

import base64
import hashlib
import hmac
from datetime import datetime
from typing import Any

import msgspec


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    exp: int


def build_token(*, user_id: int, email: str, expires_at: datetime, secret: bytes) -> str:
    """Sign a token for a user; expiry counts in whole seconds."""
    header = {"alg": "HS256", "typ": "JWT"}
    claims = {"id": user_id, "collection": "users", "email": email, "exp": int(expires_at.timestamp())}
    signed = f"{_encode(header)}.{_encode(claims)}"
    return f"{signed}.{_sign(signed, secret)}"


def is_token_valid(token: str, *, secret: bytes, now: datetime) -> bool:
    """Whether we signed this token and it has not expired."""
    signed, _, signature = token.rpartition(".")
    if not hmac.compare_digest(_sign(signed, secret).encode(), signature.encode()):
        return False
    return now.timestamp() < _decode(signed.partition(".")[2]).exp


def _sign(text: str, secret: bytes) -> str:
    return _encode_bytes(hmac.digest(secret, text.encode(), hashlib.sha256))


def _encode(value: dict[str, Any]) -> str:
    return _encode_bytes(msgspec.json.encode(value))


def _encode_bytes(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(text: str) -> _Claims:
    padding = "=" * (-len(text) % 4)
    return msgspec.json.decode(base64.urlsafe_b64decode(text + padding), type=_Claims)

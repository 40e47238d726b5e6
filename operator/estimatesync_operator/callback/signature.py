"""How a receiver can verify that a callback is ours and which one it is: the headers of Standard Webhooks.

The sender builds them at each attempt. https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final

_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret starts with is not a secret
_KEY_MIN_BYTES: Final = 24
_MAKE_API_KEY_HEADER: Final = "x-make-apikey"


class SigningSecretError(ValueError):
    """Not a usable signing secret; the message says what is wrong and never repeats the secret."""


def parse_signing_secret(text: str) -> bytes:
    """Read a secret, base64 with or without `whsec_` and padding, into the key that signs.

    Raises:
        SigningSecretError: Not base64, or a key shorter than the 24 bytes that Standard Webhooks asks for.
    """
    encoded = text.removeprefix(_SECRET_PREFIX).rstrip("=")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        # The cause is not chained: it could show parts of the secret.
        raise SigningSecretError("is not base64 (whsec_…)") from None
    if len(key) < _KEY_MIN_BYTES:
        raise SigningSecretError(f"holds {len(key)} bytes, {_KEY_MIN_BYTES} are the least that is safe")
    return key


def build_callback_headers(
    *, callback_id: str, now: datetime, body: bytes, signing_keys: Sequence[bytes], make_api_key: str | None
) -> dict[str, str]:
    """Build the headers that identify and authenticate one attempt.

    Args:
        callback_id: The same at every attempt, so that receivers can drop repetitions.
        now: The time of this attempt; receivers allow about five minutes.
        body: The exact bytes that are sent.
        signing_keys: One signature each, so that a receiver may hold any of them while secrets are rotated.
        make_api_key: For webhooks of Make.com that ask for one.
    """
    timestamp = str(int(now.timestamp()))
    headers = {"webhook-id": callback_id, "webhook-timestamp": timestamp}
    if signing_keys:
        content = f"{callback_id}.{timestamp}.".encode() + body
        headers["webhook-signature"] = " ".join(_build_signature(key, content) for key in signing_keys)
    if make_api_key:
        headers[_MAKE_API_KEY_HEADER] = make_api_key
    return headers


def _build_signature(key: bytes, content: bytes) -> str:
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"

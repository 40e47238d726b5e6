"""API keys: kept only as digests, compared in constant time. Called by the settings and by the key check."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

HEADER = "X-API-KEY"


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """One key that opens the API. Several may be active, so that a key can be replaced without a pause."""

    name: str
    """What logs call it; never a part of the key."""
    digest: bytes = field(repr=False)


def build_api_key(*, name: str, key: str) -> ApiKey:
    """Keep a key's SHA-256 instead of the key; a key has too many random bits to be guessed from it."""
    return ApiKey(name=name, digest=compute_digest(key))


def compute_digest(key: str) -> bytes:
    """Digest a key, whatever characters someone sends or configures."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


def find_key_name(keys: Iterable[ApiKey], presented: str) -> str | None:
    """Name the key that was presented, or None. Looks at every key, so that the time taken tells nothing."""
    digest = compute_digest(presented)
    matches = [key.name for key in keys if hmac.compare_digest(key.digest, digest)]
    return matches[0] if matches else None

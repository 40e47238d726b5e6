"""API keys: kept only as digests, compared in constant time. Pure.

A text of keys, from a setting or a file, holds one key after the other, separated by commas or line breaks, each as
`name:key` or just the key. Lines that begin with # are comments.
"""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

T = TypeVar("T")

HEADER: Final = "X-API-KEY"
KEY_MIN_LENGTH: Final = 16
"""Shorter keys can be guessed; 128 random bits are 22 characters of base64 or 32 of hex."""

_NAMED_KEY: Final = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]{0,31}):(?P<key>.*)")
_KEY: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """One key that opens the API. Several may be active, so that a key can be replaced without a pause."""

    name: str
    """What logs call it; never a part of the key."""
    digest: bytes = field(repr=False)
    is_read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class KeyText:
    """A text of keys, and what it is called in a fault."""

    source: str
    text: str = field(repr=False)
    is_read_only: bool = False


def parse_api_keys(texts: Sequence[KeyText]) -> tuple[tuple[ApiKey, ...], tuple[str, ...]]:
    """Read every key; answers the keys and what is wrong with them, in sentences that show none."""
    faults: list[str] = []
    keys: list[ApiKey] = []
    unnamed: Counter[str] = Counter()
    for part in texts:
        for entry in _split(part.text):
            prefix = _build_prefix(part)
            unnamed[prefix] += 1
            keys.append(_parse_api_key(entry, f"{prefix}{unnamed[prefix]}", part, faults))
    faults += [
        f"two API keys must not have the same name; there are several named {name}"
        for name in _find_repeated(key.name for key in keys)
    ]
    for digest in _find_repeated(key.digest for key in keys):
        names = " and ".join(key.name for key in keys if key.digest == digest)
        faults.append(f"the same API key must not be given twice, as for {names}")
    return tuple(keys), tuple(faults)


def compute_digest(key: str) -> bytes:
    """Digest a key, whatever characters someone sends or configures; it has too many random bits to be guessed."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


def find_key(keys: Iterable[ApiKey], presented: str) -> ApiKey | None:
    """Find the key that was presented. Looks at every key, so that the time taken tells nothing."""
    digest = compute_digest(presented)
    matches = [key for key in keys if hmac.compare_digest(key.digest, digest)]
    return matches[0] if matches else None


def _split(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [entry.strip() for line in lines for entry in line.split(",") if entry.strip()]


def _build_prefix(part: KeyText) -> str:
    """Keys without a name get one from where they stand: `key-1`, `read-only-key-2`, `file-key-1`."""
    kind = "read-only-key-" if part.is_read_only else "key-"
    return f"file-{kind}" if part.source.endswith("_FILE") else kind


def _parse_api_key(entry: str, position: str, part: KeyText, faults: list[str]) -> ApiKey:
    named = _NAMED_KEY.fullmatch(entry)
    name, key = (named["name"], named["key"]) if named else (position, entry)
    if len(key) < KEY_MIN_LENGTH:
        faults.append(
            f"{part.source} must not hold keys of less than {KEY_MIN_LENGTH} characters, like the one named {name}"
        )
    if not _KEY.fullmatch(key):
        faults.append(
            f"{part.source} must hold printable ASCII without spaces; the key named {name} holds something else"
        )
    return ApiKey(name=name, digest=compute_digest(key), is_read_only=part.is_read_only)


def _find_repeated(values: Iterable[T]) -> list[T]:
    return [value for value, count in Counter(values).items() if count > 1]

"""Who may use the API: keys, the client that presents one, and the decision about each request. Pure.

Keys are kept only as digests and compared in constant time.

Behind a proxy every request comes from the proxy; only a trusted proxy may say for which client, or any caller could
pass for another.
"""

import hashlib
import hmac
import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from estimatesync_contract.api_keys import iterate_keys

from estimatesync_api.core.problems import ApiError, Problem
from estimatesync_api.core.rate_limit import RateLimit, RateLimiter

T = TypeVar("T")

HEADER: Final = "X-API-KEY"
KEY_MIN_LENGTH: Final = 16
"""Shorter keys can be guessed; 128 random bits are 22 characters of base64 or 32 of hex."""

_KEY: Final = re.compile(r"[!-~]+")

_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_MARK: Final = re.compile(r'(?<!\\)(?:\\\\)*"|[,;]')
"""What separates, and the quotes that are no part of a quoted text."""
_MAX_CHAIN: Final = 8192
"""Characters that are read of the headers that name clients, from their end: enough for a hundred proxies."""
_ADDRESS_AND_PORT: Final = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<v4>[0-9.]+))(?::[A-Za-z0-9._-]*)?")
UNKNOWN_CLIENT: Final = "unknown"
"""Whoever it is: no proxy says, or the connection has no address."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_IPV6_SITE_PREFIX: Final = 64
"""Bits; a client with one IPv6 address usually has a whole network of them."""

WRONG_KEYS_LIMIT: Final = RateLimit(burst=10, per_second=1 / 6)
_UNLIMITED: Final = 1e9
"""Requests per minute where the settings set no limit."""
_MAX_KNOWN_CLIENTS: Final = 10_000
_READING_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """One key that opens the API. Several may be active, so that a key can be replaced without a pause."""

    name: str
    """What logs call it; never part of the key."""
    digest: bytes = field(repr=False)
    is_read_only: bool


@dataclass(frozen=True, kw_only=True)
class KeyText:
    """A text of keys, and what it is called in a fault."""

    source: str
    text: str = field(repr=False)
    is_read_only: bool = False


def parse_api_keys(texts: Sequence[KeyText]) -> tuple[tuple[ApiKey, ...], tuple[str, ...]]:
    """Read every key; returns those that can be used, and what is wrong with the others, in sentences that show none.

    A fault costs only the key that it is about. Of several keys with one name the first is used, and a key that is
    given twice may do what the lesser of the two may.
    """
    faults: list[str] = []
    keys: list[ApiKey] = []
    unnamed: Counter[str] = Counter()
    for part in texts:
        for name, text in iterate_keys(part.text):
            prefix = _build_prefix(part)
            unnamed[prefix] += 1
            if key := _parse_api_key(name or f"{prefix}{unnamed[prefix]}", text, part, faults):
                keys.append(key)
    faults += [
        f"two API keys must not have the same name; there are several named {name}"
        for name in _find_repeated(key.name for key in keys)
    ]
    for digest in _find_repeated(key.digest for key in keys):
        names = " and ".join(key.name for key in keys if key.digest == digest)
        faults.append(f"the same API key must not be given twice, as for {names}")
    # Later entries of a dictionary replace earlier ones: the first of a name, the lesser of a key.
    by_name = {key.name: key for key in reversed(keys)}
    by_digest = {key.digest: key for key in sorted(by_name.values(), key=lambda key: key.is_read_only)}
    return tuple(key for key in keys if by_digest.get(key.digest) is key), tuple(faults)


def compute_digest(key: str) -> bytes:
    """Digest a key, whatever characters someone sends or configures; it has too many random bits to be guessed."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


def find_key(keys: Iterable[ApiKey], presented: str) -> ApiKey | None:
    """Find the key that was presented. Compares every key, so that the time taken reveals nothing."""
    digest = compute_digest(presented)
    matches = [key for key in keys if hmac.compare_digest(key.digest, digest)]
    return matches[0] if matches else None


def read_presented_key(header: str) -> str:
    """Read the key of a header. One that was sent several times alike comes as a list (RFC 9110 section 5.3)."""
    keys = {key.strip() for key in header.split(",")}
    return keys.pop() if len(keys) == 1 else header.strip()


def _build_prefix(part: KeyText) -> str:
    """Keys without a name get one from where they stand: `key-1`, `read-only-key-2`, `file-key-1`."""
    kind = "read-only-key-" if part.is_read_only else "key-"
    return f"file-{kind}" if part.source.endswith("_FILE") else kind


def _parse_api_key(name: str, key: str, part: KeyText, faults: list[str]) -> ApiKey | None:
    found = len(faults)
    if len(key) < KEY_MIN_LENGTH:
        faults.append(
            f"{part.source} must not hold keys of less than {KEY_MIN_LENGTH} characters, like the one named {name}"
        )
    if not _KEY.fullmatch(key):
        faults.append(
            f"{part.source} must hold printable ASCII without spaces; the key named {name} holds something else"
        )
    if len(faults) > found:
        return None
    return ApiKey(name=name, digest=compute_digest(key), is_read_only=part.is_read_only)


def _find_repeated(values: Iterable[T]) -> list[T]:
    return [value for value, count in Counter(values).items() if count > 1]


def parse_forwarded(*, x_forwarded_for: str, forwarded: str) -> Iterator[str]:
    """Yield who asked whom, the last one first, as proxies write it: https://www.rfc-editor.org/rfc/rfc7239.

    `Forwarded` only counts where there is no X-Forwarded-For: a proxy that writes the latter passes the former through
    as the caller sent it. An element that names nobody keeps its place.

    Proxies append, so the end is theirs, and what stands before it may be anything that a caller made up: it is read
    from the end, no further than it is trusted, and quotes that a caller leaves open change nothing behind them.
    """
    if x_forwarded_for.strip():
        yield from reversed(x_forwarded_for[-_MAX_CHAIN:].split(","))
        return
    for element in _split_unquoted(forwarded[-_MAX_CHAIN:], ","):
        if element.strip():
            yield _find_asker(element)


def _find_asker(element: str) -> str:
    pairs = [pair.partition("=") for pair in _split_unquoted(element, ";")]
    return next((value for name, _, value in reversed(pairs) if name.strip().lower() == "for"), "")


def _split_unquoted(text: str, separator: str) -> Iterator[str]:
    """Yield the parts between separators that are not in quotes, the last one first."""
    end, is_quoted = len(text), False
    for mark in reversed(list(_MARK.finditer(text))):
        if mark[0].endswith('"'):
            is_quoted = not is_quoted
        elif mark[0] == separator and not is_quoted:
            yield text[mark.end() : end]
            end = mark.start()
    yield text[:end]


def compute_client(peer: str, claimed: Iterable[str], trusted: Sequence[Network]) -> str:
    """Name the client; UNKNOWN_CLIENT when a trusted proxy does not say who it is.

    Args:
        peer: The address that the connection comes from.
        claimed: What `parse_forwarded` finds; nothing of it is read unless the peer is a trusted proxy.
        trusted: The proxies whose word counts.
    """
    client, nodes = _parse(peer), iter(claimed)
    while client is not None and _is_trusted(client, trusted):
        node = next(nodes, None)
        if node is None:
            break
        client = _parse(_read_node(node))
    return UNKNOWN_CLIENT if client is None else _format(client)


def _read_node(node: str) -> str:
    """Read the address of a node: bare, quoted or in brackets, and with a port, as some proxies write it."""
    text = node.strip()
    text = re.sub(r"\\(.)", r"\1", text[1:-1]) if _QUOTED.fullmatch(text) else text
    found = _ADDRESS_AND_PORT.fullmatch(text.strip())
    return found["v6"] or found["v4"] if found else text


def is_trusted_peer(peer: str, trusted: Sequence[Network]) -> bool:
    """Return whether a connection comes from one of the trusted proxies."""
    client = _parse(peer)
    return client is not None and _is_trusted(client, trusted)


def _parse(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_trusted(client: Address, trusted: Sequence[Network]) -> bool:
    return any(client in network for network in trusted)


def _format(client: Address) -> str:
    if isinstance(client, ipaddress.IPv4Address):
        return str(client)
    return str(ipaddress.ip_network((int(client), _IPV6_SITE_PREFIX), strict=False))


class Keys(Protocol):
    """The keys that are valid now."""

    def find(self, presented: str) -> ApiKey | None:
        """Find the valid key that is presented."""
        ...

    def is_complete(self) -> bool:
        """Return whether a key that is not among them is known to be wrong."""
        ...


class AccessControl:
    """Decides for each request whether its key is valid, may do this, and may do it now. One for each server process.

    Guessing is slowed for each client address: after some wrong keys no other key is accepted for a while. An address
    from which a key has been used with success may go on with that key, so that someone else behind the same address
    (Make.com's are shared by its customers) cannot lock a scenario out. Where the address says nothing, guessing is not
    slowed: every key is compared, a wrong one is answered 429 after some others, and a valid one has only the limit of
    its own name. What stands against guesses there is the length of the keys.

    A key that is unknown while some keys cannot be read is no guess: it may be valid, and must not have to wait longer
    than for those keys.
    """

    def __init__(self, keys: Keys, *, requests_per_minute: int, monotonic: Callable[[], float]) -> None:
        self._keys = keys
        self._monotonic = monotonic
        self._wrong_keys = RateLimiter(WRONG_KEYS_LIMIT)
        limit = requests_per_minute or _UNLIMITED
        self._requests = RateLimiter(RateLimit(burst=limit, per_second=limit / 60))
        self._known_clients: dict[tuple[str, bytes], None] = {}

    def authenticate(self, *, presented: str, method: str, client: str) -> ApiKey:
        """Find the key of a request, and authorize the request with it.

        Raises:
            ApiError: The request must not be answered, or not now.
        """
        if not presented:
            raise ApiError(Problem.KEY_MISSING)
        key = self._check_key(presented, client)
        self.authorize(key, method=method)
        return key

    def authorize(self, key: ApiKey, *, method: str) -> None:
        """Check what a valid key may do: that of a request, or that of a session.

        Raises:
            ApiError: The key may not do this, or not now.
        """
        if key.is_read_only and method not in _READING_METHODS:
            raise ApiError(Problem.KEY_READ_ONLY)
        wait = self._requests.take(key.name, self._monotonic())
        if wait:
            raise ApiError(Problem.TOO_MANY_REQUESTS, retry_after=math.ceil(wait))

    def _check_key(self, presented: str, client: str) -> ApiKey:
        key, now = self._keys.find(presented), self._monotonic()
        wait = self._wrong_keys.compute_wait(client, now)
        if wait and not (key and self._is_known(client, key)):
            raise ApiError(Problem.TOO_MANY_GUESSES, retry_after=math.ceil(wait))
        if key is None:
            if not self._keys.is_complete():
                raise ApiError(Problem.KEYS_UNAVAILABLE)
            self._wrong_keys.take(client, now)
            raise ApiError(Problem.KEY_WRONG)
        self._remember((client, key.digest))
        return key

    def _is_known(self, client: str, key: ApiKey) -> bool:
        return client == UNKNOWN_CLIENT or (client, key.digest) in self._known_clients

    def _remember(self, known_client: tuple[str, bytes]) -> None:
        self._known_clients.pop(known_client, None)
        self._known_clients[known_client] = None
        if len(self._known_clients) > _MAX_KNOWN_CLIENTS:
            del self._known_clients[next(iter(self._known_clients))]

"""Where a callback may go: which URLs are usable, which addresses may be called, and what of a URL may be shown.

The operator asks at start and at each attempt, so that a webhook URL cannot be used to reach into the cluster; `doctor`
asks the same from a person's desk. The path of a webhook is a secret. The tables of addresses are spelled out, because
the answers of the `ipaddress` module change with Python's patch version and call some special networks global:
https://www.iana.org/assignments/iana-ipv4-special-registry and …/iana-ipv6-special-registry.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from estimatesync_contract.spec import DEFAULT_TARGET, TARGET_NAME_PATTERN

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_URL_MAX_LENGTH: Final = 8192
_URL_PATTERN: Final = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII but the space and the backslash, about which URL parsers disagree."""

_NAME_PATTERN: Final = re.compile(r"(?=.{1,254}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_PORT_MAX: Final = 65_535
_EXCERPT_MAX_LENGTH: Final = 200
_SECRET_MIN_LENGTH: Final = 6

Address = IPv4Address | IPv6Address
_Kinds = dict[IPv4Network | IPv6Network, str]

_NAT64_NETWORK: Final = IPv6Network("64:ff9b::/96")
"""Counts as local: it only works where an IPv6-only network reaches IPv4 through a gateway of its own."""

_LOCAL_NETWORKS: Final[_Kinds] = {
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("100.64.0.0/10"): "shared by the provider's network",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.168.0.0/16"): "private",
    IPv6Network("::1/128"): "loopback",
    IPv6Network("fc00::/7"): "private",
    _NAT64_NETWORK: "a NAT64 gateway's",
}
"""Where a receiver of one's own may be; allowed only if a setting says so."""

_METADATA_SERVICE: Final = "a cloud's metadata service"

_FORBIDDEN_NETWORKS: Final[_Kinds] = {
    IPv4Network("0.0.0.0/8"): "unspecified",
    IPv4Network("100.100.100.200/32"): _METADATA_SERVICE,
    IPv4Network("168.63.129.16/32"): _METADATA_SERVICE,
    IPv4Network("169.254.0.0/16"): "link-local",
    IPv4Network("192.0.0.0/24"): "reserved for protocols",
    IPv4Network("192.0.2.0/24"): "reserved for documentation",
    IPv4Network("192.88.99.0/24"): "a 6to4 relay",
    IPv4Network("198.18.0.0/15"): "reserved for benchmarks",
    IPv4Network("198.51.100.0/24"): "reserved for documentation",
    IPv4Network("203.0.113.0/24"): "reserved for documentation",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved",
    IPv6Network("::/128"): "unspecified",
    IPv6Network("fd00:ec2::254/128"): _METADATA_SERVICE,
    IPv6Network("fd20:ce::254/128"): _METADATA_SERVICE,
    IPv6Network("fe80::/10"): "link-local",
    IPv6Network("ff00::/8"): "multicast",
    IPv6Network("2001::/23"): "reserved for protocols and tunnels",
    IPv6Network("2001:db8::/32"): "reserved for documentation",
    IPv6Network("2002::/16"): "a 6to4 tunnel",
    IPv6Network("3fff::/20"): "reserved for documentation",
}
"""Where no receiver can be, and tunnels that would hide another address: never allowed. The metadata services beyond
link-local are those of Alibaba, Azure, Amazon and Google, in this order."""

_GLOBAL_IPV6_NETWORK: Final = IPv6Network("2000::/3")
"""All that IANA has given out as global unicast; the rest of IPv6 is special or unassigned."""

_IPV4_MASK: Final = 0xFFFF_FFFF


def split_targets(text: str) -> dict[str, str]:
    """Read named targets, each `name=place`, separated by commas, blanks or line ends; the places stay unchecked.

    Raises:
        ValueError: Not such a list; the message completes `NAME …`, and holds no place.
    """
    targets: dict[str, str] = {}
    for number, entry in enumerate(text.replace(",", " ").split(), start=1):
        name, _, place = entry.partition("=")
        if not place or not is_target_name(name):
            raise ValueError(f"cannot be used: entry {number} is not like billing=https://hook.example.com/…")
        if name in targets:
            raise ValueError(f"cannot be used: {name} is there twice")
        if name == DEFAULT_TARGET:
            raise ValueError(f"cannot be used: {DEFAULT_TARGET} is the name of the webhook of all other syncs")
        targets[name] = place
    return targets


def is_target_name(text: str) -> bool:
    """Return whether a callback target may have this name."""
    return re.fullmatch(TARGET_NAME_PATTERN, text) is not None


class TargetRefusedError(ValueError):
    """The target is not usable or not allowed; the message says what to change and holds no secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AddressRefusal:
    """Why an address must not be called."""

    why: str
    """Completes `the address …`."""
    can_be_allowed: bool = False
    """A setting would allow it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackTarget:
    """A usable URL in parts. `host` is a name or an address without brackets; `path` holds the query, too."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)

    @property
    def server_name(self) -> str:
        """What the certificate must be for; a name's final dot only matters to DNS."""
        return self.host.removesuffix(".")

    @property
    def host_header(self) -> str:
        """The Host header, with the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.server_name
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """All of the URL that may be shown."""
        return f"{self.scheme}://{self.host}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of the URL must not be shown: the path and each of its parts, the query too."""
        return (self.path, *re.split(r"[/?&=]", self.path))


def parse_target(url: str, *, allow_insecure: bool) -> CallbackTarget:
    """Read a callback URL.

    Any port is fine, a receiver of one's own often has a high one. A user name or password is not: it would end up
    wherever the URL is shown, and there are an API key and signatures for that purpose.

    Raises:
        TargetRefusedError: The URL is malformed, or plain http where that is not allowed.
    """
    text = url.strip()
    if len(text) > _URL_MAX_LENGTH or not _URL_PATTERN.fullmatch(text):
        raise TargetRefusedError(
            "the callback URL is empty, too long, or holds a space, a backslash or a character beyond ASCII; "
            "percent-encode these, and write the host as xn--…"
        )
    parts = _split(text)
    _check_scheme(parts.scheme, allow_insecure=allow_insecure)
    if "@" in parts.netloc:
        raise TargetRefusedError(
            "the callback URL holds a user name or password; remove it, and use CALLBACK_MAKE_API_KEY or "
            "CALLBACK_SIGNING_SECRETS to authenticate"
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return CallbackTarget(scheme=parts.scheme, host=_parse_host(parts), port=_parse_port(parts), path=path)


def format_target(url: str) -> str:
    """Show a URL in logs and messages: scheme and host, nothing else."""
    try:
        return parse_target(url, allow_insecure=True).origin
    except TargetRefusedError:
        return "an unusable URL"


def format_excerpt(body: bytes, *, secrets: Iterable[str]) -> str:
    """Shorten what a receiver answered to one line, without the secrets that it may have repeated."""
    text = " ".join(body.decode(errors="replace").split())
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_MIN_LENGTH:
            text = text.replace(secret, "…")
    return text[:_EXCERPT_MAX_LENGTH]


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        # The cause is not chained, here and below: it quotes parts of the URL.
        raise TargetRefusedError("the callback URL has no readable host; write https://host/path") from None


def _check_scheme(scheme: str, *, allow_insecure: bool) -> None:
    if scheme not in _DEFAULT_PORTS:
        raise TargetRefusedError("the callback URL does not start with https://")
    if scheme == "http" and not allow_insecure:
        raise TargetRefusedError(
            "the callback URL starts with http://, which anyone on the way can read; "
            "use https://, or set CALLBACK_ALLOW_HTTP=true"
        )


def _parse_host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if not (_NAME_PATTERN.fullmatch(host) or _is_ipv6(host)):
        raise TargetRefusedError("the callback URL has no readable host; write https://host/path")
    return host


def _is_ipv6(host: str) -> bool:
    """A zone (`%eth0`) names an interface of one machine and has no place in a URL."""
    try:
        return IPv6Address(host).scope_id is None
    except ValueError:
        return False


def _parse_port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise TargetRefusedError(f"the callback URL has an unreadable port; it must be 1 to {_PORT_MAX}") from None
    return port or _DEFAULT_PORTS[parts.scheme]


def decide_addresses(resolved: Iterable[str], *, allow_private: bool) -> tuple[Address, ...]:
    """Check every address that a name resolved to; one bad address spoils the name, since any could be connected to.

    Returns:
        The addresses in the same order, each once, IPv4 written in IPv6 unwrapped.

    Raises:
        TargetRefusedError: One of them must not be called.
    """
    addresses = tuple(dict.fromkeys(unwrap_mapped(ip_address(text)) for text in resolved))
    for address in addresses:
        if refusal := decide_address(address, allow_private=allow_private):
            raise TargetRefusedError(_format_refusal(address, refusal))
    return addresses


def _format_refusal(address: Address, refusal: AddressRefusal) -> str:
    cure = "set CALLBACK_ALLOW_PRIVATE_TARGETS=true to allow it" if refusal.can_be_allowed else "use a public one"
    return f"the callback URL leads to {address}, which is refused: the address {refusal.why}; {cure}"


def decide_address(address: Address, *, allow_private: bool) -> AddressRefusal | None:
    """Decide about one address: None when it may be called."""
    address = unwrap_mapped(address)
    if kind := _find_kind(address, _FORBIDDEN_NETWORKS):
        return AddressRefusal(why=f"is {kind}")
    local_kind = _find_kind(address, _LOCAL_NETWORKS)
    if local_kind and not allow_private:
        return AddressRefusal(why=f"is {local_kind}", can_be_allowed=True)
    if address in _NAT64_NETWORK:
        return decide_address(IPv4Address(int(address) & _IPV4_MASK), allow_private=allow_private)
    if isinstance(address, IPv6Address) and not local_kind and address not in _GLOBAL_IPV6_NETWORK:
        return AddressRefusal(why="is not global")
    return None


def _find_kind(address: Address, networks: _Kinds) -> str | None:
    return next((kind for network, kind in networks.items() if address in network), None)


def unwrap_mapped(address: Address) -> Address:
    """`::ffff:10.0.0.1` is 10.0.0.1 to the kernel, and so it is here."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped

"""Which addresses a callback may be sent to, so that a webhook URL cannot be used to reach into the cluster.

The sender calls it with what the host's name resolved to. The tables are spelled out, because the answers of the
`ipaddress` module change with Python's patch version and call some special networks global:
https://www.iana.org/assignments/iana-ipv4-special-registry and …/iana-ipv6-special-registry.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from estimatesync_operator.callback_target import TargetRefusedError

Address = IPv4Address | IPv6Address
_Kinds = dict[IPv4Network | IPv6Network, str]

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Counts as local: it only works where an IPv6-only network reaches IPv4 through a gateway of its own."""

_LOCAL: Final[_Kinds] = {
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("100.64.0.0/10"): "shared by the provider's network",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.168.0.0/16"): "private",
    IPv6Network("::1/128"): "loopback",
    IPv6Network("fc00::/7"): "private",
    _NAT64: "a NAT64 gateway's",
}
"""Where a receiver of one's own may live; open to who asks for it."""

_METADATA: Final = "a cloud's metadata service"

_NEVER: Final[_Kinds] = {
    IPv4Network("0.0.0.0/8"): "unspecified",
    IPv4Network("100.100.100.200/32"): _METADATA,
    IPv4Network("168.63.129.16/32"): _METADATA,
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
    IPv6Network("fd00:ec2::254/128"): _METADATA,
    IPv6Network("fd20:ce::254/128"): _METADATA,
    IPv6Network("fe80::/10"): "link-local",
    IPv6Network("ff00::/8"): "multicast",
    IPv6Network("2001::/23"): "reserved for protocols and tunnels",
    IPv6Network("2001:db8::/32"): "reserved for documentation",
    IPv6Network("2002::/16"): "a 6to4 tunnel",
    IPv6Network("3fff::/20"): "reserved for documentation",
}
"""Where no receiver can be, and tunnels that would hide another address: open to nobody. The metadata services beyond
link-local are those of Alibaba, Azure, Amazon and Google, in this order."""

_GLOBAL_IPV6: Final = IPv6Network("2000::/3")
"""All that IANA has given out as global unicast; the rest of IPv6 is special or unassigned."""

_IPV4_MASK: Final = 0xFFFF_FFFF


def decide_addresses(resolved: Iterable[str], *, allow_private: bool) -> tuple[Address, ...]:
    """Check every address that a name resolved to; one bad address spoils the name, since any could be connected to.

    Returns:
        The addresses in the same order, each once, IPv4 written in IPv6 unwrapped.

    Raises:
        TargetRefusedError: One of them must not be called.
    """
    addresses = tuple(dict.fromkeys(_unwrap(ip_address(text)) for text in resolved))
    for address in addresses:
        refusal = decide_address(address, allow_private=allow_private)
        if refusal is not None:
            raise TargetRefusedError(f"the callback URL leads to {address}, which is refused: {refusal}")
    return addresses


def decide_address(address: Address, *, allow_private: bool) -> str | None:
    """Decide about one address: None when it may be called, otherwise why not and what to do."""
    address = _unwrap(address)
    if kind := _find_kind(address, _NEVER):
        return f"the address is {kind}; use a public one"
    local_kind = _find_kind(address, _LOCAL)
    if local_kind and not allow_private:
        return f"the address is {local_kind}; set CALLBACK_ALLOW_PRIVATE_TARGETS=true to allow it"
    if address in _NAT64:
        return decide_address(IPv4Address(int(address) & _IPV4_MASK), allow_private=allow_private)
    if isinstance(address, IPv6Address) and not local_kind and address not in _GLOBAL_IPV6:
        return "the address is not global; use a public one"
    return None


def _find_kind(address: Address, networks: _Kinds) -> str | None:
    return next((kind for network, kind in networks.items() if address in network), None)


def _unwrap(address: Address) -> Address:
    """`::ffff:10.0.0.1` is 10.0.0.1 to the kernel, and so it is here."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped

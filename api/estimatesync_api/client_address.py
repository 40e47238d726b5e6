"""Finds out who asks, for limits that are counted by client. Pure.

Behind a proxy every request comes from the proxy; only one that is trusted may say for whom it asks, or anybody could
claim to be somebody else.
"""

import ipaddress
from collections.abc import Sequence
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_IPV6_HOUSEHOLD: Final = 64
"""Whoever has one IPv6 address has a whole network of them."""


def compute_client(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Name the client.

    Args:
        peer: The address that the connection comes from.
        forwarded_for: The value of X-Forwarded-For, to which each proxy appends the one it was asked by.
        trusted: The proxies that are believed.
    """
    client = _parse(peer)
    for claimed in reversed(forwarded_for.split(",")):
        if client is None or not _is_trusted(client, trusted):
            break
        asker = _parse(claimed.strip())
        if asker is None:
            break
        client = asker
    return "unknown" if client is None else _format(client)


def is_trusted_peer(peer: str, trusted: Sequence[Network]) -> bool:
    """Tell whether a connection comes from one of the trusted proxies."""
    client = _parse(peer)
    return client is not None and _is_trusted(client, trusted)


def _parse(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_trusted(client: Address, trusted: Sequence[Network]) -> bool:
    return any(client in network for network in trusted)


def _format(client: Address) -> str:
    if isinstance(client, ipaddress.IPv4Address):
        return str(client)
    return str(ipaddress.ip_network((int(client), _IPV6_HOUSEHOLD), strict=False))

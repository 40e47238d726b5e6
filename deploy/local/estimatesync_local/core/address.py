"""The address that the server listens at, as the setting BIND has it."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]+):(?P<port>[0-9]{1,5})")
_PORT_MAX: Final = 65_535


@dataclass(frozen=True, kw_only=True)
class Address:
    """A host, without the brackets of IPv6, and a port; 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address, which is without the brackets of IPv6."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_address(text: str) -> Address:
    """Read `host:port` or `[IPv6]:port`.

    Raises:
        ValueError: It is neither.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > _PORT_MAX:
        raise ValueError("not an address with a port")
    return Address(host=match["host"].strip("[]"), port=int(match["port"]))

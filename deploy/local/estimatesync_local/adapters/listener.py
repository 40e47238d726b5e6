"""The address that the server listens at: parsed, opened once by the supervisor, and handed on to the API.

The supervisor keeps the socket: clients that connect while the API restarts wait for a moment instead of being refused,
and a port that is taken is found out before anything else has started.
"""

import errno
import re
import socket
from dataclasses import dataclass
from typing import Final

from estimatesync_local.core.errors import ListenError

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]+):(?P<port>[0-9]{1,5})")
_BACKLOG: Final = 512
_PORT_MAX: Final = 65_535
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened at


@dataclass(frozen=True, kw_only=True)
class Address:
    """A host, without the brackets of IPv6, and a port; 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `host:port` or `[IPv6]:port`.

    Raises:
        ValueError: It is neither.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > _PORT_MAX:
        raise ValueError("not an address with a port")
    return Address(host=match["host"].strip("[]"), port=int(match["port"]))


def open_listener(address: Address) -> socket.socket:
    """Listen at the address.

    Raises:
        ListenError: The address is taken, does not belong to this machine, or is not allowed.
    """
    try:
        family, *_, target = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        # This sets the options that a server needs on each system, which a plain socket would lack.
        return socket.create_server(target[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ListenError(f"Another program listens at {address}. Stop it, or set BIND to another port.") from error
        raise ListenError(f"Cannot listen at {address}: {error.strerror}. Set BIND to another address.") from error


def format_url(listener: socket.socket) -> str:
    """The URL for clients on this machine."""
    host, port = listener.getsockname()[:2]
    return f"http://{Address(host=_WILDCARDS.get(host, host), port=port)}"

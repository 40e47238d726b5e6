"""The socket that the server listens at: opened once by the supervisor, and handed on to the API.

The supervisor keeps the socket: clients that connect while the API restarts wait for a moment instead of being refused,
and a port that is taken is found out before anything else has started.
"""

import errno
import socket
from dataclasses import replace
from typing import Final

from estimatesync_local.core.address import Address
from estimatesync_local.core.errors import ListenError

_BACKLOG: Final = 512
_LAST_PORT: Final = 65_534
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened at


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
            other = replace(address, port=address.port + 2 if address.port < _LAST_PORT else 0)
            raise ListenError(
                f"Another program listens at {address}. Stop it, or set another port: BIND={other}"
            ) from error
        raise ListenError(f"Cannot listen at {address}: {error.strerror}. Set BIND to another address.") from error


def format_url(listener: socket.socket) -> str:
    """The URL for clients on this machine."""
    host, port = listener.getsockname()[:2]
    return f"http://{Address(host=_WILDCARDS.get(host, host), port=port)}"

"""Lets TCP clients, such as pods, talk to a server whose socket is a file; PostgreSQL of the wheel has no other.

Two threads for each connection; a sync has one. Whoever reaches the address may connect, so it must lead no further
than this machine and its pods.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK_BYTES = 65536


@contextmanager
def relaying(host: str, path: str) -> Iterator[int]:
    """Relay to the socket at `path` for the time of the context; yields the port that is listened on."""
    with socket.create_server((host, 0)) as server:
        threading.Thread(target=_accept, args=(server, path), daemon=True).start()
        yield int(server.getsockname()[1])
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, path: str) -> None:
    with suppress(OSError):
        while True:
            client, _ = server.accept()
            threading.Thread(target=_relay, args=(client, path), daemon=True).start()


def _relay(client: socket.socket, path: str) -> None:
    # A server that is gone is a connection that ends.
    with suppress(OSError), client, socket.socket(socket.AF_UNIX) as target:
        target.connect(path)
        back = threading.Thread(target=_copy, args=(target, client), daemon=True)
        back.start()
        _copy(client, target)
        back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            sink.sendall(chunk)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)

"""Everything around the product on sample data, where pods reach it: Attic Tech, PostgreSQL, Make.com's webhook.

A relay lets TCP clients, such as pods, talk to a server whose socket is a file; PostgreSQL of the wheel has no other.
It has two threads for each connection; a sync has one. Every client that reaches the address may connect, so it must
lead no further than this machine and its pods.
"""

import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from estimatesync_cluster.node_configuration import HOST_ADDRESS
from estimatesync_local.adapters.postgres import EmbeddedPostgres
from sample_attic_tech import SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import append_delivery, running_receiver

from estimatesync_node.release import build_pod_database_url, build_sample_values, build_socket_path

CHUNK_BYTES = 65536

ESTIMATES: Final = 1609
SEED: Final = 7
PAGE_DELAY_SECONDS: Final = 0.5
"""So that a person sees the progress."""


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


@contextmanager
def running_sample_environment(directory: Path, *, deliveries: Path, api_key: str) -> Iterator[dict[str, Any]]:
    """Run it for the time of the context; yield the chart's values for it.

    Args:
        directory: where PostgreSQL keeps its data.
        deliveries: file that gets one line of JSON for each callback.
        api_key: the API key of callers.

    Raises:
        PostgresError: PostgreSQL did not start.
        OSError: the address, which is the node's network's, is not there.
    """
    config = SampleConfig(
        records=build_records(ESTIMATES, SEED, datetime.now(UTC)),
        password=secrets.token_urlsafe(12),
        page_delay_seconds=PAGE_DELAY_SECONDS,
        host=HOST_ADDRESS,
    )
    with (
        _running_postgres(directory) as database_url,
        running_sample(config) as sample,
        running_receiver(on_delivery=partial(append_delivery, deliveries), host=HOST_ADDRESS) as receiver,
    ):
        yield build_sample_values(
            source_url=sample.url,
            email=config.email,
            password=config.password,
            database_url=database_url,
            callback_url=f"{receiver.url}/make-webhook",
            api_key=api_key,
        )


@contextmanager
def _running_postgres(directory: Path) -> Iterator[str]:
    server = EmbeddedPostgres(directory)
    server.start()
    try:
        with relaying(HOST_ADDRESS, build_socket_path(server.url)) as port:
            yield build_pod_database_url(server.url, host=HOST_ADDRESS, port=port)
    finally:
        server.stop()

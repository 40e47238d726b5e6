"""`sslmode=verify-full` through the chart: sync pods check the database's certificate against `network.caConfigMap`.

The PostgreSQL of these tests is built without TLS, so that a small server in front of it speaks TLS for it, as poolers
and the proxies of managed databases do. What checks the certificate is the sync program's own libpq.
"""

import json
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

HOST = "database.test"
SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)
"""What a client sends first: https://www.postgresql.org/docs/current/protocol-message-formats.html, SSLRequest."""
REFUSALS = [
    pytest.param("other.test", True, "its certificate is for another host name", id="another host name"),
    pytest.param(HOST, False, "its certificate is not from an authority that is trusted here", id="another authority"),
]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_port(database_url: str, machine: str, authority: trustme.CA) -> Iterator[int]:
    """Where PostgreSQL answers with TLS, as HOST."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    (directory,) = parse_qs(urlsplit(database_url).query)["host"]
    with socket.create_server((machine, 0)) as server:
        arguments = (server, context, f"{directory}/.s.PGSQL.5432")
        threading.Thread(target=accept, args=arguments, daemon=True).start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)


def accept(server: socket.socket, context: ssl.SSLContext, path: str) -> None:
    with suppress(OSError):
        while True:
            client, _ = server.accept()
            threading.Thread(target=serve, args=(client, context, path), daemon=True).start()


def serve(client: socket.socket, context: ssl.SSLContext, path: str) -> None:
    """Take nobody without TLS; a client that does not like the certificate leaves."""
    with client, suppress(OSError), socket.socket(socket.AF_UNIX) as database:
        if client.recv(8, socket.MSG_WAITALL) != SSL_REQUEST:
            return
        client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as encrypted:
            database.connect(path)
            relay(encrypted, database)


def relay(encrypted: ssl.SSLSocket, database: socket.socket) -> None:
    while True:
        ready = [encrypted] if encrypted.pending() else select.select([encrypted, database], [], [])[0]
        for source, sink in ((encrypted, database), (database, encrypted)):
            if source in ready:
                if not (chunk := source.recv(65536)):
                    return
                sink.sendall(chunk)


@pytest.fixture
def build_url(database_url: str, machine: str, tls_port: int) -> Callable[[str], str]:
    """The database's URL under a host name, whose address is given beside it: nothing has to look it up."""

    def build(host: str) -> str:
        path = urlsplit(database_url).path
        return f"postgresql://postgres@{host}:{tls_port}{path}?hostaddr={machine}&sslmode=verify-full"

    return build


@pytest.fixture
def deploy(release: Any) -> Callable[[str, trustme.CA], None]:
    def run(url: str, trusted: trustme.CA) -> None:
        pem = trusted.cert_pem.bytes().decode()
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "company-ca"}}
        release.kubectl("apply", "--filename=-", stdin=json.dumps({**config_map, "data": {"ca.crt": pem}}))
        release.values["network"] = {"caConfigMap": "company-ca"}
        release.values["credentials"]["databaseUrl"] = url
        release.deploy("install")

    return run


@pytest.mark.parametrize("authorities", ["", "&sslrootcert=system"], ids=["by the environment", "by the URL"])
def test_a_sync_writes_to_a_database_whose_certificate_it_has_checked(
    release: Any,
    deploy: Callable[..., None],
    build_url: Callable[[str], str],
    authority: trustme.CA,
    count_estimates: Callable[[], int],
    authorities: str,
) -> None:
    deploy(build_url(HOST) + authorities, authority)

    name = release.post().json()["sync_id"]

    release.wait_status(name, "succeeded")
    assert count_estimates() == 120


@pytest.mark.parametrize(("host", "is_trusted", "words"), REFUSALS)
def test_a_database_that_may_be_another_gets_no_estimates_and_the_cause_is_told(
    release: Any,
    deploy: Callable[..., None],
    build_url: Callable[[str], str],
    authority: trustme.CA,
    *,
    host: str,
    is_trusted: bool,
    words: str,
) -> None:
    deploy(build_url(host), authority if is_trusted else trustme.CA())

    name = release.post().json()["sync_id"]

    sync = release.wait_status(name, "failed")
    stored = json.loads(release.kubectl("get", "esync", name, "--output=json"))["status"]
    assert stored["reason"] == "DatabaseRefused"
    assert words in stored["message"]
    assert sync["results"]["total_processed"] == 0

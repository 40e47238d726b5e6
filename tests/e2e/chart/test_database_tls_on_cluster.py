"""`sslmode=verify-full` through the chart: sync pods check the database's certificate against `network.caConfigMap`.

The PostgreSQL of these tests is built without TLS, so that a small server in front of it speaks TLS for it, as poolers
and the proxies of managed databases do. What checks the certificate is the sync program's own libpq.
"""

import os
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
from estimatesync_cluster.programs import SHORT_LIVED
from estimatesync_docs.console_blocks import parse_blocks

HOST = "database.test"
PAGE = Path(__file__).parents[3] / "docs" / "install.md"
SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)
"""What a client sends first: https://www.postgresql.org/docs/current/protocol-message-formats.html, SSLRequest."""
REFUSALS = [
    pytest.param("other.test", True, "its certificate is for another host name", id="another host name"),
    pytest.param(HOST, False, "its certificate is not from an authority that is trusted here", id="another authority"),
]

Trusting = Callable[[str, trustme.CA], Any]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_port(shared_release: Any, machine: str, authority: trustme.CA) -> Iterator[int]:
    """Where PostgreSQL answers with TLS, as HOST."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    (directory,) = parse_qs(urlsplit(shared_release.surroundings.database_url).query)["host"]
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
    """Accept no connection without TLS; a client that does not like the certificate leaves."""
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


@pytest.fixture(scope="module")
def build_url(shared_release: Any, machine: str, tls_port: int) -> Callable[[str], str]:
    """The database's URL under a host name, whose address is given with it: nothing has to resolve it."""

    def build(host: str) -> str:
        path = urlsplit(shared_release.surroundings.database_url).path
        return f"postgresql://postgres@{host}:{tls_port}{path}?hostaddr={machine}&sslmode=verify-full"

    return build


@pytest.fixture(scope="module")
def usual_values(shared_release: Any) -> dict[str, Any]:
    """The values that the release of these tests begins with."""
    return deepcopy(dict(shared_release.values))


@pytest.fixture
def trusting(shared_release: Any, shown_objects: list[dict[str, Any]], usual_values: dict[str, Any]) -> Trusting:
    """Have a release whose sync pods trust the authorities of the ConfigMap that trust-manager makes.

    Which authority that is, and where the database is, may change while the release is at work.
    """
    (bundle,) = (each for each in shown_objects if each["kind"] == "Bundle")
    name, key = bundle["metadata"]["name"], bundle["spec"]["target"]["configMap"]["key"]

    def run(url: str, trusted: trustme.CA) -> Any:
        release = shared_release
        pem = trusted.cert_pem.bytes().decode()
        release.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {key: pem}})
        release.values = {**deepcopy(usual_values), "network": {"caConfigMap": name}}
        release.ensure()
        secret = {"stringData": {"DATABASE_URL": url}}
        release.cluster.api.patch("Secret", "sync-estimatesync-credentials", secret, namespace=release.namespace)
        release.empty_database()
        return release

    return run


@pytest.mark.parametrize("authorities", ["", "&sslrootcert=system"], ids=["by the environment", "by the URL"])
def test_a_sync_writes_to_a_database_whose_certificate_it_has_checked(
    trusting: Trusting, build_url: Callable[[str], str], authority: trustme.CA, authorities: str
) -> None:
    release = trusting(build_url(HOST) + authorities, authority)

    name = release.post().json()["sync_id"]

    release.wait_status(name, "succeeded")
    assert release.count_estimates() == 120


@pytest.mark.parametrize(("host", "is_trusted", "words"), REFUSALS)
def test_an_untrusted_database_gets_no_estimates_and_the_status_says_why(
    trusting: Trusting,
    build_url: Callable[[str], str],
    authority: trustme.CA,
    *,
    host: str,
    is_trusted: bool,
    words: str,
) -> None:
    release = trusting(build_url(host), authority if is_trusted else trustme.CA())

    name = release.post().json()["sync_id"]

    sync = release.wait_status(name, "failed")
    stored = release.find("EstimateSync", name)["status"]
    assert stored["reason"] == "DatabaseRefused"
    assert words in stored["message"]
    assert sync["results"]["total_processed"] == 0


@pytest.fixture
def create_cluster_secrets(shared_release: Any, build_url: Callable[[str], str]) -> Callable[[trustme.CA], None]:
    """Have of CloudNativePG's Secrets what the page reads: `uri` knows nothing of TLS, and the authority is renewed."""

    def create(authority: trustme.CA) -> None:
        uri = build_url(HOST).removesuffix("&sslmode=verify-full")
        for name, data in (("pg-app", {"uri": uri}), ("pg-ca", {"ca.crt": authority.cert_pem.bytes().decode()})):
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
            shared_release.apply(secret)

    return create


@pytest.fixture
def follow_page(shared_release: Any, tmp_path: Path) -> Callable[[], None]:
    """Type the commands of the page."""
    release = shared_release
    (block,) = (each for each in parse_blocks(PAGE.read_text()) if "CLUSTER-ca" in each.title)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "kubectl").symlink_to(release.cluster.kubectl_program)
    names = {
        "CLUSTER": "pg",
        "NAMESPACE": release.namespace,
    }
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "KUBECONFIG": str(release.cluster.kubeconfig),
        **SHORT_LIVED,
    }

    def follow() -> None:
        for command in block.commands:
            run(command.text)

    def run(command: str) -> None:
        for name, value in names.items():
            command = command.replace(name, value)
        shell = ["bash", "-o", "errexit", "-o", "pipefail", "-c", command]
        subprocess.run(shell, cwd=tmp_path, env=environment, timeout=60, check=True)

    return follow


def test_cloudnative_pgs_secret_is_used_as_it_is_and_the_commands_for_its_authority_may_be_run_again(
    shared_release: Any,
    usual_values: dict[str, Any],
    create_cluster_secrets: Callable[[trustme.CA], None],
    follow_page: Callable[[], None],
    authority: trustme.CA,
) -> None:
    release = shared_release
    create_cluster_secrets(trustme.CA())
    release.values = {**deepcopy(usual_values), "network": {"caConfigMap": "company-ca"}}
    release.values["credentials"].pop("databaseUrl")
    release.values["database"] = {"existingSecret": {"name": "pg-app"}, "parameters": {"sslmode": "verify-full"}}
    follow_page()
    release.ensure()
    release.empty_database()
    before = release.post().json()["sync_id"]
    release.wait_status(before, "failed")

    create_cluster_secrets(authority)
    follow_page()
    after = release.post().json()["sync_id"]

    release.wait_status(after, "succeeded")
    assert release.count_estimates() == 120

"""The API server of Kubernetes goes away, hangs, or changes the credentials; the API goes on without a restart."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml
from estimatesync_api.health import VERDICT_SECONDS
from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.credentials import build_cluster_entry, build_kubeconfig
from estimatesync_cluster.fault_proxy import (
    Answer,
    DropConnection,
    Fault,
    FaultProxy,
    ProxiedRequest,
    running_fault_proxy,
)

URL = "/api/automations/estimates/sync-external"
SYNCS = "/api/automations/estimates/syncs"
# Make.com gives up after 40 s.
LIMIT_SECONDS = 30.0


class Absence(Fault):
    """Cuts every connection."""

    def before(self, request: ProxiedRequest) -> Answer | None:
        raise DropConnection(request.path)


class Silence(Fault):
    """Answers no request until it is over."""

    def __init__(self) -> None:
        self.is_over = Event()

    def before(self, _request: ProxiedRequest) -> Answer | None:
        self.is_over.wait(90)
        return None


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[FaultProxy]:
    """A way to the API server that can be closed."""
    assert cluster.layout is not None, "this needs a cluster of our own"
    with running_fault_proxy(cluster.server, cluster.layout.certificate("ca").read_bytes()) as proxy:
        yield proxy


@pytest.fixture
def proxied_api(proxy: FaultProxy, launch: Callable[..., Any], kubeconfig: Path) -> Any:
    # The proxy comes first, so that it is closed last: it cannot close while a request waits at it.
    own = yaml.safe_load(kubeconfig.read_text())
    entry = build_cluster_entry(server=proxy.url, authority=proxy.authority)
    namespace = own["contexts"][0]["context"]["namespace"]
    kubeconfig.write_bytes(build_kubeconfig(cluster=entry, user=own["users"][0]["user"], namespace=namespace))
    api = launch(KUBECONFIG=str(kubeconfig), REPEATED_REQUESTS="start")
    api.wait_until("readiness", lambda: api.ask("GET", "/readyz").status == 200)
    return api


@pytest.mark.parametrize("outage", [Absence(), Silence()], ids=["absent", "silent"])
def test_while_the_cluster_is_away_callers_are_asked_to_come_again_and_then_it_goes_on(
    proxied_api: Any, proxy: FaultProxy, outage: Fault
) -> None:
    sync_id = proxied_api.ask("POST", URL).body["sync_id"]
    proxy.fault = outage
    proxy.silence_watches()
    questions = [
        ("POST", URL),
        ("GET", f"{SYNCS}/{sync_id}"),
        ("POST", f"{SYNCS}/{sync_id}/cancel"),
        ("GET", "/readyz"),
    ]

    # Until then readiness is what it was.
    time.sleep(VERDICT_SECONDS)
    for method, url in questions:
        started = time.monotonic()
        answer = proxied_api.ask(method, url)
        assert (answer.status, answer.body["code"], answer.headers["Retry-After"]) == (503, "unavailable", "10")
        assert time.monotonic() - started < LIMIT_SECONDS
    alive = proxied_api.ask("GET", "/healthz").status
    proxy.fault = Fault()
    if isinstance(outage, Silence):
        outage.is_over.set()

    proxied_api.wait_until("readiness", lambda: proxied_api.ask("GET", "/readyz").status == 200)
    assert alive == 200
    assert proxied_api.ask("POST", URL).status == 202


def test_the_list_is_found_again_after_its_watch_was_lost(proxied_api: Any, proxy: FaultProxy) -> None:
    first = proxied_api.ask("POST", URL).body["sync_id"]
    proxy.end_watches({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
    applied = {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "metadata": {"name": "meanwhile"}}
    proxied_api.create(applied)
    proxied_api.delete("EstimateSync", first)

    def list_ids() -> list[str]:
        return [sync["sync_id"] for sync in proxied_api.ask("GET", SYNCS).body["syncs"]]

    proxied_api.wait_until("the news", lambda: list_ids() == ["meanwhile"])


def test_a_pod_s_credentials_are_used_and_may_be_replaced_at_any_time(
    launch: Callable[..., Any], cluster: Cluster, installed: str, tmp_path: Path
) -> None:
    account = tmp_path / "serviceaccount"
    account.mkdir()
    (account / "namespace").write_text(installed)
    (account / "ca.crt").write_bytes(read_authority(cluster))
    (account / "token").write_text(create_bound_token(cluster, installed, "first"))
    host, _, port = cluster.server.removeprefix("https://").rpartition(":")
    api = launch(SERVICE_ACCOUNT_DIRECTORY=str(account), KUBERNETES_SERVICE_HOST=host, KUBERNETES_SERVICE_PORT=port)
    api.wait_until("readiness", lambda: api.ask("GET", "/readyz").status == 200)

    cluster.api.delete("Secret", "first", namespace=installed)
    api.wait_until("the first token to be void", lambda: api.ask("GET", "/readyz").status == 503)
    (account / "new").write_text(create_bound_token(cluster, installed, "second"))
    (account / "new").rename(account / "token")

    api.wait_until("the second token", lambda: api.ask("GET", "/readyz").status == 200)
    assert api.ask("POST", URL).status == 202
    api.wait_until("the list", lambda: api.ask("GET", SYNCS).status == 200)


def read_authority(cluster: Cluster) -> bytes:
    assert cluster.layout is not None, "this needs a cluster of our own"
    return cluster.layout.certificate("ca").read_bytes()


def create_bound_token(cluster: Cluster, namespace: str, secret: str) -> str:
    """A token that is void as soon as the Secret is deleted."""
    where = f"--namespace={namespace}"
    cluster.api.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}}, namespace=namespace)
    bound = ("--bound-object-kind=Secret", f"--bound-object-name={secret}")
    return cluster.kubectl("create", "token", "estimatesync-api", where, *bound).stdout.strip()

"""What the chart's NetworkPolicies let through, and nothing else: asked from within containers of an enforcing node."""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import pytest
from estimatesync_cluster.node_configuration import DEVICE, HOST_ADDRESS
from estimatesync_cluster.real_node import run_command

VERSION = version("estimatesync")
ESTIMATES = 120
OTHER_PORT = 9000
DNS_PORT = 53
METRICS_PORT = 8081
# Link-local, as a cloud's metadata service; not that very one, which this machine may need itself.
METADATA = ("169.254.77.77", 80)
SYNC_LABELS = {
    "app.kubernetes.io/name": "estimatesync",
    "app.kubernetes.io/component": "sync",
    "app.kubernetes.io/managed-by": "estimatesync",
}
PLAYED = {"sync": SYNC_LABELS, "proxy": {"role": "proxy"}, "prometheus": {"role": "prometheus"}, "outsider": {}}
"""Pods that only call and listen, by name: a sync's own would be over before it is asked."""
INSIDE = {
    "another pod": ("outsider", OTHER_PORT),
    "a name server": ("outsider", DNS_PORT),
    "a sync pod": ("sync", OTHER_PORT),
    "the API": ("api", 8080),
    "another port of the API": ("api", OTHER_PORT),
    "the operator's metrics": ("operator", METRICS_PORT),
    "another port of the operator": ("operator", OTHER_PORT),
}
OUTSIDE = {"the API server", "Attic Tech", "PostgreSQL", "the webhook", "the metadata service"}
ANOTHER_POD = {"another pod", "a name server"}
OPEN = {
    "api": {"the API server", "a name server"},
    "operator": {"the API server", "the webhook", "a name server"},
    "sync": {"Attic Tech", "PostgreSQL", "a name server"},
    "proxy": {*OUTSIDE, *ANOTHER_POD, "the API"},
    "prometheus": {*OUTSIDE, *ANOTHER_POD, "the API", "the operator's metrics"},
    "outsider": OUTSIDE,
}
"""Who reaches what under the policies; without them, every pod reaches everything."""
CONNECT = f"""
import json, socket, sys
def is_reached(host, port):
    kind = socket.SOCK_DGRAM if port == {DNS_PORT} else socket.SOCK_STREAM
    try:
        with socket.socket(type=kind) as caller:
            caller.settimeout(10)
            caller.connect((host, port))
            if kind == socket.SOCK_DGRAM:
                caller.send(b"?")
                caller.recv(1)
    except OSError:
        return False
    return True
print(json.dumps([name for name, address in json.loads(sys.argv[1]) if is_reached(*address)]))
"""
# The kernel accepts every connection; the child listens and echoes on, after `kubectl exec` has returned.
LISTEN = f"""
import os, socket
listener = socket.create_server(("0.0.0.0", {OTHER_PORT}))
echo = socket.socket(type=socket.SOCK_DGRAM)
echo.bind(("0.0.0.0", {DNS_PORT}))
if os.fork():
    os._exit(0)
os.setsid()
for number in range(3):
    os.close(number)
while True:
    echo.sendto(*echo.recvfrom(1))
"""


def build_pod(name: str, labels: dict[str, str]) -> dict[str, Any]:
    """A pod that waits for commands, as restricted as the namespace wants it."""
    container = {
        "name": "main",
        "image": f"estimatesync-sync:{VERSION}",
        "imagePullPolicy": "Never",
        "command": ["python", "-c", "import time; time.sleep(3600)"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    user = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"terminationGracePeriodSeconds": 0, "securityContext": user, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Every caller, as the name and address of a pod, and everything that is called, as address and port."""

    release: Any
    callers: dict[str, tuple[str, str]]
    places: dict[str, tuple[str, int]]

    def list_others(self, caller: str) -> dict[str, tuple[str, int]]:
        """What is not in the caller's own pod."""
        _, own = self.callers[caller]
        return {name: place for name, place in self.places.items() if place[0] != own}

    def list_reached(self, caller: str) -> set[str]:
        """Connect from within the caller's pod."""
        program = ("python", "-c", CONNECT, json.dumps(list(self.list_others(caller).items())))
        return set(json.loads(self.release.kubectl("exec", self.callers[caller][0], "--", *program)))


@pytest.fixture
def metadata_service() -> Iterator[tuple[str, int]]:
    """It goes with the node's device, which every packet of a pod to the outside passes."""
    run_command(["ip", "address", "add", f"{METADATA[0]}/32", "dev", DEVICE])
    try:
        with socket.create_server(METADATA):
            yield METADATA
    finally:
        run_command(["ip", "address", "delete", f"{METADATA[0]}/32", "dev", DEVICE])


@pytest.fixture
def outside(
    release: Any, sample: Any, receiver: Any, pod_database_url: str, metadata_service: tuple[str, int]
) -> dict[str, tuple[str, int]]:
    urls = {
        "the API server": release.cluster.server,
        "Attic Tech": sample.url,
        "PostgreSQL": pod_database_url,
        "the webhook": receiver.url,
    }
    places = {name: (str(urlsplit(url).hostname), int(urlsplit(url).port or 0)) for name, url in urls.items()}
    return {**places, "the metadata service": metadata_service}


@pytest.fixture
def surroundings(release: Any, outside: dict[str, tuple[str, int]]) -> Surroundings:
    """An installed release, other pods, and in each a listener on a port that no policy names."""
    release.deploy("install")
    for name, labels in PLAYED.items():
        release.kubectl("apply", "--filename=-", stdin=json.dumps(build_pod(name, labels)))
    release.kubectl("wait", "pods", *PLAYED, "--for=condition=Ready", "--timeout=90s")
    callers = {component: find_pod(release, component) for component in ("api", "operator")}
    callers |= {name: (name, read_address(release, name)) for name in PLAYED}
    for pod, _ in callers.values():
        release.kubectl("exec", pod, "--", "python", "-c", LISTEN)
    inside = {name: (callers[caller][1], port) for name, (caller, port) in INSIDE.items()}
    return Surroundings(release=release, callers=callers, places={**outside, **inside})


def find_pod(release: Any, component: str) -> tuple[str, str]:
    """The name and the address of a part's first pod."""
    selector = f"--selector=app.kubernetes.io/component={component}"
    name = release.kubectl("get", "pods", selector, "--output=name").split()[0].removeprefix("pod/")
    return name, read_address(release, name)


def read_address(release: Any, pod: str) -> str:
    return str(release.kubectl("get", "pod", pod, "--output=jsonpath={.status.podIP}"))


def close(release: Any, *more: dict[str, Any]) -> None:
    """Name who may call and who may collect, as a person does; the ports are among the values already."""
    proxy, prometheus = ({"podSelector": {"matchLabels": {"role": role}}} for role in ("proxy", "prometheus"))
    release.values["networkPolicy"].update(enabled=True, apiFrom=[proxy, *more], metricsFrom=[prometheus])


def test_each_part_reaches_what_it_needs_and_nothing_else_and_so_do_its_callers(surroundings: Surroundings) -> None:
    release = surroundings.release
    everything = {caller: set(surroundings.list_others(caller)) for caller in OPEN}
    assert {caller: surroundings.list_reached(caller) for caller in OPEN} == everything

    close(release)
    release.deploy("upgrade")

    def is_at_work() -> bool:
        parts = ("api", "operator", "sync")
        return not any("the metadata service" in surroundings.list_reached(each) for each in parts)

    release.wait_until("the policies at work", is_at_work)
    assert {caller: surroundings.list_reached(caller) for caller in OPEN} == OPEN
    # This machine is outside of the cluster, and neither proxy nor Prometheus.
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(surroundings.places["the API"], timeout=10)


def test_a_sync_comes_from_its_request_to_its_callback_through_the_policies(
    release: Any, receiver: Any, count_estimates: Callable[[], int]
) -> None:
    close(release, {"ipBlock": {"cidr": f"{HOST_ADDRESS}/32"}})
    release.deploy("install")

    name = release.post().json()["sync_id"]

    release.wait_status(name, "succeeded")
    release.wait_until("the callback", lambda: receiver.deliveries)
    assert json.loads(receiver.deliveries[0].body)["sync_id"] == name
    assert count_estimates() == ESTIMATES


def test_helm_test_reaches_an_api_that_is_closed_to_others(release: Any) -> None:
    close(release)
    release.deploy("install")
    # There is no DNS on this node.
    service = ("get", "service", "sync-estimatesync-api", "--output=jsonpath={.spec.clusterIP}")
    release.values["test"] = {"url": f"http://{release.kubectl(*service)}"}
    release.deploy("upgrade")

    assert "Succeeded" in release.helm("test", "sync", "--timeout=90s")
    assert release.find_all("EstimateSync") == []
    release.values["test"]["mode"] = "round-trip"
    release.deploy("upgrade")

    printed = release.helm("test", "sync", "--timeout=90s")

    assert "Phase:" in printed
    assert len(release.find_all("EstimateSync")) == 1

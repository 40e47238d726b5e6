"""The background process of `make node`: holds the sample environment and the forwarded port.

Started by main.py, which waits until the record names the API's address, and then installs the chart on it. It ends
with the cluster. The API answers on this machine through `kubectl port-forward`, which is renewed whenever its pod
goes.
"""

import secrets
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from estimatesync_cluster.cluster import Cluster, describe_own_cluster
from estimatesync_cluster.control_plane import create_admin_client
from estimatesync_cluster.daemon import StateDirectory, build_own_record, read_live_record, write_record
from estimatesync_cluster.errors import ClusterError
from estimatesync_cluster.guarded_process import guarded
from estimatesync_cluster.layout import write_private
from estimatesync_local.adapters.own_files import make_directory
from estimatesync_local.adapters.postgres import EmbeddedPostgres

from estimatesync_node.release import NAMESPACE, RELEASE
from estimatesync_node.sample_environment import running_sample_environment

LOOPBACK: Final = "127.0.0.1"
READY_POLL_SECONDS: Final = 0.5
_PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"
_SELECTOR: Final = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=api"

USUAL_PORT: Final = 8080


def keep_forwarding(
    cluster: Cluster, client: httpx.Client, *, port: int, log: Path, is_wanted: Callable[[], bool]
) -> None:
    """Forward the port to a replica that is ready, and to another one when it is not any more, while it is wanted."""
    while is_wanted():
        if pod := next(iter(fetch_ready_pods(client)), None):
            _forward(cluster, client, pod=pod, port=port, log=log, is_wanted=is_wanted)
        time.sleep(READY_POLL_SECONDS)


def _forward(
    cluster: Cluster, client: httpx.Client, *, pod: str, port: int, log: Path, is_wanted: Callable[[], bool]
) -> None:
    command = [str(cluster.kubectl_program), f"--kubeconfig={cluster.kubeconfig}", f"--namespace={NAMESPACE}"]
    command += ["port-forward", f"--address={LOOPBACK}", f"pod/{pod}", f"{port}:http"]
    with guarded("port-forward", command, log=log) as forward:
        while is_wanted() and not forward.has_ended() and pod in fetch_ready_pods(client):
            time.sleep(READY_POLL_SECONDS)


def fetch_ready_pods(client: httpx.Client) -> list[str]:
    """Fetch which replicas of the API take requests; none when the cluster does not answer."""
    try:
        answer = client.get(_PODS, params={"labelSelector": _SELECTOR})
    except httpx.TransportError:
        return []
    pods = answer.json()["items"] if answer.is_success else []
    return [pod["metadata"]["name"] for pod in pods if is_taking_requests(pod)]


def is_taking_requests(pod: Mapping[str, Any]) -> bool:
    """Decide whether a Service would send requests to this pod."""
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", ())}
    return "deletionTimestamp" not in pod["metadata"] and conditions.get("Ready") == "True"


class EnvironmentFiles:
    """The files that the supervisor keeps; they go with it."""

    def __init__(self, state: StateDirectory) -> None:
        self.root = state.layout.root
        self.api_key = self.root / "api-key"
        self.values = self.root / "values.json"
        self.deliveries = self.root / "callbacks.jsonl"
        self.postgres = self.root / "postgres"
        self.forward_log = self.root / "port-forward.log"


def supervise(state: StateDirectory, cluster_state: StateDirectory, *, with_sample: bool) -> None:
    """Supervise for as long as the cluster lives.

    Raises:
        ClusterError: there is no cluster.
    """
    record = read_live_record(cluster_state)
    if record is None:
        raise ClusterError("There is no cluster: start one with `make node`")
    files = EnvironmentFiles(state)
    make_directory(files.root)
    port = choose_port(USUAL_PORT)
    with ExitStack() as stack:
        if with_sample:
            if not files.api_key.exists():
                write_private(files.api_key, secrets.token_hex(16).encode())
            environment = running_sample_environment(
                files.postgres, deliveries=files.deliveries, api_key=files.api_key.read_text()
            )
            write_private(files.values, msgspec.json.encode(stack.enter_context(environment)))
        client = stack.enter_context(create_admin_client(cluster_state.layout, record.server))
        write_record(state, build_own_record(server=f"http://{LOOPBACK}:{port}"))
        keep_forwarding(
            describe_own_cluster(cluster_state.layout),
            client,
            port=port,
            log=files.forward_log,
            is_wanted=lambda: read_live_record(cluster_state) is not None,
        )


def choose_port(usual: int) -> int:
    """Choose a free port of this machine, the usual one if it is free."""
    for port in (usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ClusterError("This machine has no free port")


def stop_orphaned_postgres(directory: Path) -> None:
    """Stop a PostgreSQL that a killed supervisor has left behind."""
    if directory.exists():
        EmbeddedPostgres(directory).stop()

"""The background process of `make node`: holds the sample world and the forwarded port, and ends with the cluster.

Started by main.py, which waits until the record names the API's address, and then installs the chart on it.
"""

import secrets
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
from estimatesync_cluster.cluster import Cluster, find_kubectl
from estimatesync_cluster.control_plane import create_admin_client
from estimatesync_cluster.daemon import StateDirectory, build_own_record, read_live_record, write_record
from estimatesync_cluster.errors import ClusterError
from estimatesync_cluster.layout import write_private
from estimatesync_local.adapters.postgres import EmbeddedPostgres

from estimatesync_node.forwarding import LOOPBACK, keep_forwarding
from estimatesync_node.sample_world import running_world

USUAL_PORT: Final = 8080
LOOK_SECONDS: Final = 0.2


class WorldFiles:
    """What the supervisor keeps; it goes with it."""

    def __init__(self, place: StateDirectory) -> None:
        """Touch nothing."""
        self.root = place.layout.root
        self.api_key = self.root / "api-key"
        self.values = self.root / "values.json"
        self.deliveries = self.root / "callbacks.jsonl"
        self.postgres = self.root / "postgres"
        self.forward_log = self.root / "port-forward.log"


def supervise(place: StateDirectory, cluster_place: StateDirectory, *, with_sample: bool) -> None:
    """Be the supervisor for as long as the cluster lives.

    Raises:
        ClusterError: there is no cluster.
    """
    record = read_live_record(cluster_place)
    if record is None:
        raise ClusterError("There is no cluster: start one with `make node`")
    files = WorldFiles(place)
    files.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = choose_port(USUAL_PORT)
    with ExitStack() as stack:
        if with_sample:
            if not files.api_key.exists():
                write_private(files.api_key, secrets.token_hex(16).encode())
            world = running_world(files.postgres, deliveries=files.deliveries, api_key=files.api_key.read_text())
            write_private(files.values, msgspec.json.encode(stack.enter_context(world)))
        client = stack.enter_context(create_admin_client(cluster_place.layout, record.server))
        write_record(place, build_own_record(server=f"http://{LOOPBACK}:{port}"))
        keep_forwarding(
            find_cluster(cluster_place),
            client,
            port=port,
            log=files.forward_log,
            is_wanted=lambda: read_live_record(cluster_place) is not None,
        )


def find_cluster(place: StateDirectory) -> Cluster:
    """Describe the cluster that runs there, as its administrator sees it."""
    layout = place.layout
    return Cluster(
        kubeconfig=layout.kubeconfig, kubectl_program=find_kubectl(), cache=layout.kubectl_cache, layout=layout
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


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until it is true; false when it never was."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return met

"""API servers for the benchmark: gunicorn as it is deployed, on one socket, against a real API server."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.product_processes import build_accounts

ROOT = Path(__file__).parents[2]
API_KEY = "made-up-key-for-benchmarks"
NAMESPACE = "default"
START_SECONDS = 30.0


@dataclass(kw_only=True)
class Servers:
    """Any number of gunicorns that accept from one socket."""

    listener: socket.socket
    kubeconfig: Path
    log: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        host, port = self.listener.getsockname()
        return f"http://{host}:{port}"

    def start(self) -> subprocess.Popen[bytes]:
        """Start one more."""
        environment = {
            "PATH": os.environ["PATH"],
            "BIND": f"fd://{self.listener.fileno()}",
            "API_KEYS": f"bench:{API_KEY}",
            "KUBECONFIG": str(self.kubeconfig),
            "REQUESTS_PER_MINUTE": "0",
            "REPEATED_REQUESTS": "start",
        }
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "python:estimatesync_api.gunicorn_conf"],
                env=environment,
                stdout=output,
                stderr=output,
                pass_fds=[self.listener.fileno()],
            )
        self.processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End one without a word, its worker too."""
        for pid in (process.pid, *list_children(process.pid)):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        self.processes.remove(process)

    def wait_until_ready(self) -> None:
        """Wait for the first answer."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if httpx.get(f"{self.url}/readyz", trust_env=False, timeout=5).is_success:
                    return
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.05)

    def read_memory(self) -> list[float]:
        """Read the resident memory of each worker, in megabytes."""
        workers = [child for process in self.processes for child in list_children(process.pid)]
        return [read_resident(worker) for worker in workers]


@contextmanager
def serving(cluster: Cluster, directory: Path) -> Iterator[Servers]:
    """Install what the API needs, and end whatever was started."""
    cluster.define(ROOT / "charts" / "estimatesync" / "files" / "crd.yaml")
    cluster.api.apply(build_accounts(), namespace=NAMESPACE)
    kubeconfig = cluster.create_service_account_kubeconfig(
        directory / "kubeconfig", namespace=NAMESPACE, name="estimatesync-api"
    )
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        servers = Servers(listener=listener, kubeconfig=kubeconfig, log=directory / "api.log")
        try:
            yield servers
        finally:
            for process in list(servers.processes):
                servers.kill(process)


def list_children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def read_resident(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0

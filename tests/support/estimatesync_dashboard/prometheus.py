"""A real Prometheus on this machine that scrapes what is given to it, and answers queries; its data goes with it."""

import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import httpx
import msgspec
from estimatesync_cluster.guarded_process import GuardedProcess, guarded
from estimatesync_cluster.programs import PROMETHEUS, find_go_tool

SCRAPE_SECONDS: Final = 5
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.2


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a graph: labels, and pairs of a Unix time and a value."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """Asks a server."""

    def __init__(self, url: str) -> None:
        """Ask the server at `url`."""
        self._url = url

    def fetch_range(self, expression: str, *, start: datetime, end: datetime, step: int) -> tuple[Series, ...]:
        """Ask for the values between two aware instants, every `step` seconds.

        Raises:
            ValueError: Prometheus does not understand the expression; the message is its own.
        """
        parameters: dict[str, str | float] = {"query": expression, "step": step}
        parameters |= {"start": start.timestamp(), "end": end.timestamp()}
        answer = httpx.get(f"{self._url}/api/v1/query_range", params=parameters, trust_env=False, timeout=30).json()
        if answer["status"] != "success":
            raise ValueError(f"{expression}: {answer['error']}")
        return tuple(
            Series(labels=found["metric"], points=tuple((moment, float(value)) for moment, value in found["values"]))
            for found in answer["data"]["result"]
        )

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            return httpx.get(f"{self._url}/-/ready", trust_env=False, timeout=5).is_success
        except httpx.TransportError:
            return False


@contextmanager
def running_prometheus(targets: Mapping[str, str], *, namespace: str, directory: Path) -> Iterator[Prometheus]:
    """Run a server that scrapes the targets, an address for each job, with the label that a cluster's would set.

    Raises:
        ComponentError: It does not start; the end of its log is in the message.
    """
    program = find_go_tool(PROMETHEUS, environ=os.environ, report=_report)
    address = f"127.0.0.1:{_choose_port()}"
    (directory / "prometheus.json").write_bytes(msgspec.json.encode(_build_configuration(targets, namespace)))
    places = (f"--config.file={directory / 'prometheus.json'}", f"--storage.tsdb.path={directory / 'data'}")
    command = [str(program), *places, f"--web.listen-address={address}"]
    log = directory / "prometheus.log"
    with guarded("Prometheus", command, log=log, grace=_STOP_SECONDS, environment=None) as process:
        prometheus = Prometheus(f"http://{address}")
        _wait_until_ready(prometheus, process)
        yield prometheus


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _build_configuration(targets: Mapping[str, str], namespace: str) -> dict[str, object]:
    """JSON is YAML, too."""
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s"},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address], "labels": {"namespace": namespace}}]}
            for job, address in targets.items()
        ],
    }


def _wait_until_ready(prometheus: Prometheus, process: GuardedProcess) -> None:
    end = time.monotonic() + _START_SECONDS
    while not prometheus.is_ready():
        if process.has_ended() or time.monotonic() > end:
            raise process.build_error("does not answer")
        time.sleep(_POLL_SECONDS)


def _choose_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

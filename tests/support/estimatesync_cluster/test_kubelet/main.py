"""Joins the test kubelet: arguments, keys, log server, node. Run by `python -m estimatesync_cluster.test_kubelet`.

Started by control_plane.py; by hand it makes one more node of any cluster whose certificates are at hand. It runs until
it is asked to stop, and every process of its pods ends with it, as if the node were lost.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from estimatesync_cluster.credentials import ApiConnection
from estimatesync_cluster.test_kubelet.container_process import NodeRuntime
from estimatesync_cluster.test_kubelet.kubelet import Kubelet
from estimatesync_cluster.test_kubelet.kubernetes_client import KubernetesClient
from estimatesync_cluster.test_kubelet.logs import serving_logs
from estimatesync_cluster.test_kubelet.node import read_node_facts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one test node until SIGTERM or SIGINT."""
    settings = _build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # One line per request would bury everything else.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(_run(settings))
    return 0


async def _run(settings: argparse.Namespace) -> None:
    connection = ApiConnection(
        server=settings.server, authority=settings.authority, certificate=settings.certificate, key=settings.key
    )
    settings.root_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    client = KubernetesClient(connection)
    runtime = NodeRuntime(
        client=client, root=settings.root_dir, known_images=tuple(settings.known_image), search_path=_build_path()
    )
    kubelet = Kubelet(settings.node_name, runtime)
    with serving_logs(kubelet, connection) as port:
        labels = dict(settings.label)
        facts = read_node_facts(name=settings.node_name, labels=labels, port=port)
        duties = asyncio.create_task(kubelet.run(facts))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, duties.cancel)
        await asyncio.wait([duties])
    if not duties.cancelled():
        duties.result()


def _build_path() -> str:
    """Build the containers' PATH: this interpreter's directory first, so that `python` is the one with the packages."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m estimatesync_cluster.test_kubelet",
        description="Be one node of a Kubernetes cluster whose containers are local processes.",
    )
    parser.add_argument("--server", required=True, help="the API server's address, https://HOST:PORT")
    parser.add_argument("--authority", required=True, type=Path, help="certificate of the cluster's authority (PEM)")
    parser.add_argument("--certificate", required=True, type=Path, help="this node's certificate (PEM)")
    parser.add_argument("--key", required=True, type=Path, help="this node's private key (PEM)")
    parser.add_argument("--root-dir", required=True, type=Path, help="where the pods' files are kept")
    parser.add_argument("--node-name", required=True, help="name of the node to register")
    parser.add_argument("--label", action="append", default=[], type=_parse_label, help="KEY=VALUE; may be repeated")
    parser.add_argument(
        "--known-image",
        action="append",
        default=[],
        help="image that is available, or a shell pattern; may be repeated",
    )
    return parser


def _parse_label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value

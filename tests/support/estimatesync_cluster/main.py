"""The commands of the local cluster: up, down, status, build, check-node. The Makefile calls them.

Standard output holds only what a shell may evaluate; everything for people goes to standard error.
"""

import argparse
import os
import shlex
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from estimatesync_local.adapters.file_lock import locked

from estimatesync_cluster.daemon import (
    StateDirectory,
    check_state_directory,
    is_healthy,
    read_live_record,
    start_background,
    stop_background,
    supervise,
)
from estimatesync_cluster.definitions import find_definitions
from estimatesync_cluster.errors import ClusterError
from estimatesync_cluster.programs import (
    ACTIONLINT,
    COSIGN,
    CRANE,
    GLUA,
    KIND,
    Binaries,
    find_binaries,
    find_go_tool,
    find_helm,
)
from estimatesync_cluster.real_node import (
    check_machine,
    find_node_tools,
    import_images,
    list_archives,
    node_network,
    try_rights,
)
from estimatesync_cluster.terminal import interrupt, report

DEFAULT_STATE_DIR = Path(__file__).parents[3] / ".local" / "cluster"
NOT_RUNNING = 3
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    settings = _build_parser().parse_args(arguments)
    try:
        return COMMANDS[settings.command](settings)
    except ClusterError as error:
        report(str(error))
        return 1
    except KeyboardInterrupt:
        report("interrupted")
        return INTERRUPTED


def _up(settings: argparse.Namespace) -> int:
    """Start the cluster unless it runs, and print how to use it."""
    # An interrupted start stops what it started, also when it is the terminal that goes away.
    signal.signal(signal.SIGTERM, interrupt)
    state = StateDirectory(settings.state_dir)
    check_state_directory(state)
    with locked(state.lock, on_wait=lambda: report("waiting for another `up` or `down` to end")):
        if is_healthy(state):
            _check_kind(state, settings)
            if settings.node_images:
                import_images(list_archives(settings.node_images))
        else:
            stop_background(state)
            if settings.node_images:
                check_machine()
                find_node_tools()
            binaries = find_binaries(environ=os.environ, report=report)
            report(f"starting the control plane and {'a real node' if settings.node_images else 'the test kubelet'}")
            start_background(state, binaries, images=settings.node_images)
    report(f"the cluster runs; logs are in {state.layout.root / 'logs'}")
    print(f"export KUBECONFIG={shlex.quote(str(state.layout.kubeconfig))}")
    return 0


def _check_kind(state: StateDirectory, settings: argparse.Namespace) -> None:
    record = read_live_record(state)
    if settings.node_images and record and not record.real_node:
        raise ClusterError("A cluster without a real node runs here: stop it first (make cluster-down)")


def _down(settings: argparse.Namespace) -> int:
    """Stop the cluster and remove everything it kept."""
    state = StateDirectory(settings.state_dir)
    check_state_directory(state)
    with locked(state.lock, on_wait=lambda: report("waiting for another `up` or `down` to end")):
        stop_background(state)
    report("the cluster is stopped, and what it stored is gone; now: unset KUBECONFIG")
    return 0


def _status(settings: argparse.Namespace) -> int:
    """Say whether the cluster runs."""
    state = StateDirectory(settings.state_dir)
    record = read_live_record(state)
    if record is None:
        report("the cluster does not run")
        return NOT_RUNNING
    answers = is_healthy(state)
    report(f"the cluster {'runs' if answers else 'does not answer'}: {record.server}, supervisor {record.pid}")
    return 0 if answers else 1


def _build(settings: argparse.Namespace) -> int:
    """Find the programs or build them, and print where they are: a step of its own, which no test waits for.

    So that no test downloads anything, the definitions that tests install are fetched here, too.
    """
    if settings.purpose == "workflows":
        print(find_go_tool(ACTIONLINT, environ=os.environ, report=report))
        return 0
    print(find_binaries(environ=os.environ, report=report).directory)
    if settings.purpose == "tests":
        print(find_helm(report=report))
        print(find_go_tool(KIND, environ=os.environ, report=report))
        print(find_go_tool(GLUA, environ=os.environ, report=report))
        print(*find_definitions(environ=os.environ, report=report).values(), sep="\n")
    if settings.purpose == "release":
        print(find_go_tool(CRANE, environ=os.environ, report=report))
        print(find_go_tool(COSIGN, environ=os.environ, report=report))
    if settings.purpose == "node":
        print(find_helm(report=report))
        print(*find_node_tools().values(), sep="\n")
    return 0


def _check_node(settings: argparse.Namespace) -> int:
    """Say whether this machine can be a real node, by trying what only some roots may do; if it is ours, it can."""
    record = read_live_record(StateDirectory(settings.state_dir))
    if record is None or not record.real_node:
        with node_network():
            try_rights()
    return 0


def _supervise(settings: argparse.Namespace) -> NoReturn:
    """Be the background process of `up`."""
    signal.signal(signal.SIGTERM, interrupt)
    supervise(StateDirectory(settings.state_dir), Binaries(directory=settings.binaries), images=settings.node_images)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "build": _build,
    "check-node": _check_node,
    "supervise": _supervise,
}


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m estimatesync_cluster", description="A real Kubernetes control plane on this machine."
    )
    parser.add_argument(
        "command", choices=COMMANDS, help='up, down, status, build or check-node; `eval "$(… up)"` sets KUBECONFIG'
    )
    parser.add_argument("--state-dir", type=Path, default=DEFAULT_STATE_DIR, help="default: %(default)s")
    parser.add_argument(
        "--node-images",
        type=Path,
        help="for up: run a real node (root on Linux) that knows the images of this directory",
    )
    parser.add_argument(
        "--purpose",
        choices=("cluster", "tests", "node", "workflows", "release"),
        default="cluster",
        help="for build: what the programs are for; default: %(default)s",
    )
    parser.add_argument("--binaries", type=Path, help="for supervise: directory of the programs")
    return parser

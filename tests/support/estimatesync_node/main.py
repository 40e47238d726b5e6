"""Puts the chart on the real node of this machine, and takes it away: `make node` and `make cluster-down` call it.

`up` may be repeated: it changes what differs, and nothing else. Everything for people goes to standard error, because
`make node` prints on standard output what a shell may evaluate. In the end it prints the next commands, ready to be
pasted.
"""

import argparse
import shlex
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from estimatesync_cluster.cluster import describe_own_cluster, find_kubectl
from estimatesync_cluster.daemon import (
    StateDirectory,
    end_supervisor,
    launch,
    read_live_record,
    stop_background,
    wait_until,
)
from estimatesync_cluster.errors import ClusterError, ComponentError
from estimatesync_cluster.main import DEFAULT_STATE_DIR as CLUSTER_STATE_DIR
from estimatesync_cluster.programs import find_helm
from estimatesync_cluster.terminal import interrupt, report
from estimatesync_contract.names import START_PATH
from estimatesync_local.adapters.file_lock import locked
from estimatesync_local.core.errors import PostgresError

from estimatesync_node.release import NAMESPACE, create_release
from estimatesync_node.supervisor import EnvironmentFiles, stop_orphaned_postgres, supervise

DEFAULT_STATE_DIR: Final = CLUSTER_STATE_DIR.with_name("node")
DEFAULT_IMAGES: Final = CLUSTER_STATE_DIR.with_name("images")
ANSWER_SECONDS: Final = 60.0
INTERRUPTED: Final = 130


@dataclass(frozen=True, kw_only=True)
class Guide:
    """What the commands need to know. `api_key` and `deliveries` are files of the sample, if there is one."""

    kubeconfig: Path
    kubectl: Path
    api_url: str
    api_key: Path | None = None
    deliveries: Path | None = None


def build_guide(guide: Guide) -> str:
    """Build the text."""
    key = f"$(cat {shlex.quote(str(guide.api_key))})" if guide.api_key else "one of your apiKeys"
    commands = [
        f"export KUBECONFIG={shlex.quote(str(guide.kubeconfig))}",
        f'curl -X POST {guide.api_url}{START_PATH} -H "X-API-KEY: {key}"',
        f"{shlex.quote(str(guide.kubectl))} get estimatesyncs --namespace {NAMESPACE} --watch",
        *([f"cat {shlex.quote(str(guide.deliveries))}     # what Make.com receives"] if guide.deliveries else []),
        "make cluster-down",
    ]
    kind = "on sample data" if guide.api_key else "with your values"
    return "\n".join([f"The chart runs on the node, {kind}; the API answers at {guide.api_url}. Next:", ""]) + "".join(
        f"\n  {command}" for command in commands
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    settings = _build_parser().parse_args(arguments)
    # An interrupted start stops what it started, also when it is the terminal that goes away.
    signal.signal(signal.SIGTERM, interrupt)
    try:
        COMMANDS[settings.command](settings, StateDirectory(settings.state_dir), StateDirectory(settings.cluster_dir))
    except (ClusterError, PostgresError, OSError) as error:
        report(str(error))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _up(settings: argparse.Namespace, state: StateDirectory, cluster_state: StateDirectory) -> None:
    """Install the chart, and print how to use it."""
    if settings.values and not settings.values.is_file():
        raise ClusterError(f"There is no file {settings.values}: VALUES names a values file of the chart")
    record = read_live_record(cluster_state)
    if record is None or not record.real_node:
        raise ClusterError("There is no real node: start one with `make node`")
    files = EnvironmentFiles(state)
    with locked(state.lock, on_wait=lambda: report("waiting for another `up` or `down` to end")):
        if not _is_up(state) or not (settings.values or files.values.exists()):
            _start(state, cluster_state, with_sample=not settings.values)
        report(f"installing the chart {'with ' + str(settings.values) if settings.values else 'on sample data'}")
        values = settings.values or files.values
        helm = find_helm(report=report)
        began = time.monotonic()
        cluster = describe_own_cluster(cluster_state.layout)
        create_release(cluster, helm=helm, values=values, images=settings.images, place=files.root)
        url = _wait_for_api(state)
        report(f"installed, and the API answers, after {time.monotonic() - began:.0f} s")
    sample = {} if settings.values else {"api_key": files.api_key, "deliveries": files.deliveries}
    kubeconfig = cluster_state.layout.kubeconfig
    report(build_guide(Guide(kubeconfig=kubeconfig, kubectl=find_kubectl(), api_url=url, **sample)))


def _start(state: StateDirectory, cluster_state: StateDirectory, *, with_sample: bool) -> None:
    # Its files stay: after a crash, the key and the rows are the same as before.
    end_supervisor(state)
    arguments = ["supervise", f"--state-dir={state.root}", f"--cluster-dir={cluster_state.root}"]
    arguments += [] if with_sample else ["--no-sample"]
    launch(state, ["-m", "estimatesync_node", *arguments], is_up=lambda: _is_up(state), title="What the chart needs")


def _wait_for_api(state: StateDirectory) -> str:
    record = read_live_record(state)
    url = record.server if record else ""
    if not url or not wait_until(lambda: _answers(url), ANSWER_SECONDS):
        log = EnvironmentFiles(state).forward_log
        raise ComponentError(
            f"The chart is installed, but the API does not answer at {url or 'any address'}: see {log}"
        )
    return url


def _down(_: argparse.Namespace, state: StateDirectory, __: StateDirectory) -> None:
    """Stop what runs next to the chart; the release goes with the cluster."""
    with locked(state.lock, on_wait=lambda: report("waiting for another `up` or `down` to end")):
        end_supervisor(state)
        stop_orphaned_postgres(EnvironmentFiles(state).postgres)
        stop_background(state)


def _supervise(settings: argparse.Namespace, state: StateDirectory, cluster_state: StateDirectory) -> None:
    """Be the background process of `up`."""
    supervise(state, cluster_state, with_sample=not settings.no_sample)


COMMANDS: Final[dict[str, Callable[[argparse.Namespace, StateDirectory, StateDirectory], None]]] = {
    "up": _up,
    "down": _down,
    "supervise": _supervise,
}


def _is_up(state: StateDirectory) -> bool:
    record = read_live_record(state)
    return record is not None and bool(record.server)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False, timeout=5).is_success
    except httpx.TransportError:
        return False


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m estimatesync_node", description="The chart on the real node of this machine."
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--values", type=Path, help="values of the chart; without it, sample data are set up")
    parser.add_argument("--images", type=Path, default=DEFAULT_IMAGES, help="archives; default: %(default)s")
    parser.add_argument("--state-dir", type=Path, default=DEFAULT_STATE_DIR, help="default: %(default)s")
    parser.add_argument("--cluster-dir", type=Path, default=CLUSTER_STATE_DIR, help="default: %(default)s")
    parser.add_argument("--no-sample", action="store_true", help="for supervise: only forward the port")
    return parser

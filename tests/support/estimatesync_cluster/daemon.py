"""A cluster in the background: started by one command, ended by another, found again by a record in between.

Called by main.py, and by estimatesync_node for what runs next to a cluster. A supervisor process runs the cluster
(running_cluster) and keeps every component under guard, so that there is one process to find, and nothing survives it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import httpx
import msgspec

from estimatesync_cluster.cluster import Cluster, running_cluster
from estimatesync_cluster.control_plane import create_admin_client
from estimatesync_cluster.errors import ClusterError, ComponentError
from estimatesync_cluster.guarded_process import read_identity, read_log_tail
from estimatesync_cluster.layout import StateLayout, write_private
from estimatesync_cluster.node_configuration import NODE_NAME
from estimatesync_cluster.programs import Binaries
from estimatesync_cluster.real_node import RealNode, build_layout, list_archives, remove_network, remove_traces

# A real node takes in nearly a gigabyte of images, and removes it again.
START_SECONDS = 300.0
STOP_SECONDS = 90.0
POLL_SECONDS = 0.1
WATCH_SECONDS = 1.0


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The supervisor's process; `server` is empty until what is supervised answers there."""

    pid: int
    identity: str
    server: str = ""
    real_node: bool = False


class StateDirectory:
    """The files of what runs in the background: its own (`layout`), and those that lead to it."""

    def __init__(self, state_dir: Path) -> None:
        """Take a directory, which need not exist yet."""
        self.root = state_dir.absolute()
        self.lock = self.root / "lock"
        self.log = self.root / "supervisor.log"
        self.record = self.root / "supervisor.json"
        self.layout = StateLayout(root=self.root / "run")


def start_background(state: StateDirectory, binaries: Binaries, *, images: Path | None = None) -> None:
    """Start a cluster in the background and wait until it answers; with a directory of images, with a real node.

    Raises:
        ComponentError: it did not come up; the message ends with the supervisor's last words.
    """
    node = [f"--node-images={images.absolute()}"] if images else []
    arguments = ["supervise", f"--state-dir={state.root}", f"--binaries={binaries.directory}", *node]
    launch(state, ["-m", "estimatesync_cluster", *arguments], is_up=lambda: is_healthy(state), title="The cluster")


def launch(state: StateDirectory, arguments: list[str], *, is_up: Callable[[], bool], title: str) -> None:
    """Start a supervisor in the background, a Python program, and wait until what it supervises is up.

    Raises:
        ComponentError: it did not come up; the message ends with the supervisor's last words.
    """
    state.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with state.log.open("wb") as log:
        supervisor = subprocess.Popen(  # noqa: S603  the command is ours
            [sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    write_record(state, Record(pid=supervisor.pid, identity=read_identity(supervisor.pid) or ""))
    try:
        wait_until(lambda: is_up() or supervisor.poll() is not None, START_SECONDS)
        came_up = is_up()
    except BaseException:
        stop_background(state)
        raise
    if not came_up:
        last_words = read_log_tail(state.log, lines=40)
        stop_background(state)
        raise ComponentError(f"{title} did not start.\n{last_words}")


def supervise(state: StateDirectory, binaries: Binaries, *, images: Path | None = None) -> NoReturn:
    """Be the supervisor: run the cluster until something is raised here, as KeyboardInterrupt is for a signal.

    Raises:
        ComponentError: it did not start, or one of its components ended by itself; everything is stopped.
    """
    node = RealNode(images=list_archives(images)) if images else None
    with running_cluster(state.layout.root, binaries=binaries, node=node) as cluster:
        write_record(state, build_own_record(server=cluster.server, real_node=node is not None))
        while True:
            time.sleep(WATCH_SECONDS)
            _check_components(cluster)


def stop_background(state: StateDirectory) -> None:
    """Stop what is supervised there, if it runs, and remove what is left of it, also after a crash or a reboot."""
    record = _read_record(state)
    end_supervisor(state)
    if record and record.real_node:
        remove_network()
        remove_traces(build_layout(state.layout.kubelet_root(NODE_NAME)))
    # What outlives a killed supervisor for a moment may still write there.
    wait_until(lambda: _is_removed(state.layout.root), STOP_SECONDS)
    state.record.unlink(missing_ok=True)
    state.log.unlink(missing_ok=True)


def end_supervisor(state: StateDirectory) -> None:
    """End the supervisor, if there is one, and with it what it runs; the files stay."""
    record = read_live_record(state)
    if record:
        os.kill(record.pid, signal.SIGTERM)
        if not wait_until(lambda: read_live_record(state) is None, STOP_SECONDS):
            os.kill(record.pid, signal.SIGKILL)


def read_live_record(state: StateDirectory) -> Record | None:
    """Read the record of the supervisor; None when it is not alive, whatever is left on disk."""
    record = _read_record(state)
    return record if record and read_identity(record.pid) == record.identity else None


def _read_record(state: StateDirectory) -> Record | None:
    try:
        return msgspec.json.decode(state.record.read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return None


def _is_removed(directory: Path) -> bool:
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()


def is_healthy(state: StateDirectory) -> bool:
    """Check that the cluster runs and its API server answers."""
    record = read_live_record(state)
    if record is None or not record.server:
        return False
    try:
        with create_admin_client(state.layout, record.server) as client:
            return client.get("/readyz").is_success
    except (httpx.TransportError, OSError):
        return False


def check_state_directory(state: StateDirectory) -> None:
    """Make sure that the directory is ours to clear; ClusterError when it holds something else."""
    ours = {each.name for each in (state.lock, state.log, state.record, state.layout.root)}
    if state.root.exists() and (strange := {entry.name for entry in state.root.iterdir()} - ours):
        raise ClusterError(f"{state.root} holds {', '.join(sorted(strange))}: choose another --state-dir")


def _check_components(cluster: Cluster) -> None:
    for component in cluster.control_plane.components if cluster.control_plane else ():
        if component.has_ended():
            raise component.build_error("ended by itself, and the cluster with it")


def build_own_record(*, server: str, real_node: bool = False) -> Record:
    """Build the record of a supervisor: this process."""
    pid = os.getpid()
    return Record(pid=pid, identity=read_identity(pid) or "", server=server, real_node=real_node)


def write_record(state: StateDirectory, record: Record) -> None:
    """Write the supervisor's record."""
    # Renamed into place: a reader sees the old record or the new one, never half of one.
    draft = state.record.with_suffix(".draft")
    write_private(draft, msgspec.json.encode(record))
    draft.rename(state.record)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until it is true; false when it never was."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return met

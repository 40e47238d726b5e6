"""What a machine must have and may do to be a node, and the node's network. Linux and root.

Called by control_plane.py, which holds the network for as long as the node lives, and by the command `check-node`.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from estimatesync_cluster.errors import CommandError, ToolMissingError
from estimatesync_cluster.node_configuration import (
    DEVICE,
    NETWORK_NAMESPACE,
    TRIAL_CGROUP,
    build_network_commands,
    build_trial_commands,
)

PLUGINS = Path("/usr/lib/cni")
CGROUPS = Path("/sys/fs/cgroup")
MOUNTS = Path("/proc/mounts")
BRIDGE_FILTER = Path("/proc/sys/net/bridge")
CONTROLLERS = ("cpu", "memory", "pids")
LOCK = Path("/run/estimatesync-node.lock")
END_SECONDS = 20.0
NEEDED = ("runc", "iptables", "ipset", "conntrack", "nsenter", "unshare", "ip", "sysctl", "mount")


def check_machine() -> None:
    """Make sure that a real node can be here; ToolMissingError says what is missing."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    missing += [] if (PLUGINS / "bridge").exists() else [f"the CNI plugins in {PLUGINS}"]
    # Not loaded for the person: it changes how the machine's other bridges are filtered, too.
    missing += [] if BRIDGE_FILTER.exists() else ["the kernel's module br_netfilter (modprobe br_netfilter)"]
    if obstacle := decide_obstacle(platform=sys.platform, user=os.geteuid(), missing=missing):
        raise ToolMissingError(obstacle)


def decide_obstacle(*, platform: str, user: int, missing: list[str]) -> str | None:
    """Decide whether a machine can be a node: None, or what to do about it."""
    if platform != "linux" or user != 0:
        return "A real node needs root on Linux. Without it, the test kubelet does (make cluster)."
    if missing:
        return f"A real node needs {', '.join(missing)} (on Debian: make node-packages)"
    return None


def try_rights() -> None:
    """Do within the node's network what a node does and not every root may: mounts, control groups, packet filters.

    Raises:
        CommandError: the kernel refused something.
    """
    with tempfile.TemporaryDirectory(prefix="estimatesync-trial-") as place:
        for command in build_trial_commands(Path(place)):
            run_command(command)
    for hierarchy in (each for each in list_hierarchies() if each == CGROUPS or each.name in CONTROLLERS):
        trial = hierarchy / TRIAL_CGROUP
        try:
            trial.mkdir(exist_ok=True)
            trial.rmdir()
        except OSError as error:
            raise CommandError(f"No control group can be made in {hierarchy}: {error.strerror}") from error


@contextmanager
def node_network() -> Iterator[None]:
    """Have the node's network for the time of the context.

    Raises:
        ToolMissingError: this machine cannot be a node.
        CommandError: another node runs here, or the kernel refused something.
    """
    check_machine()
    with _sole_node():
        remove_network()
        try:
            for command in build_network_commands():
                run_command(command)
            yield
        finally:
            remove_network()


def remove_network() -> None:
    """Remove it, also when a crash has left it."""
    deadline = time.monotonic() + END_SECONDS
    while _ask("ip", "netns", "pids", NETWORK_NAMESPACE) and time.monotonic() < deadline:
        # The programs of a killed node are ended by their leashes, each in its own time.
        time.sleep(0.1)
    _ask("ip", "netns", "delete", NETWORK_NAMESPACE)
    # It goes with the namespace, but not before the last process in there is gone.
    _ask("ip", "link", "delete", DEVICE)


def list_hierarchies() -> list[Path]:
    """Control groups of version 1 have a tree for each controller, those of version 2 one for all."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [each for each in CGROUPS.iterdir() if each.is_dir() and not each.is_symlink()]


def unmount_below(directory: Path) -> None:
    """Unmount whatever is mounted in a directory, the directory itself excepted; mostly nothing."""
    mounted = MOUNTS.read_text().splitlines() if MOUNTS.exists() else []
    # A space in a path is written as its number.
    places = [line.split()[1].replace(r"\040", " ") for line in mounted]
    # Longest first: a mount inside another one goes before it.
    for place in sorted((each for each in places if each.startswith(f"{directory}/")), key=len, reverse=True):
        _ask("umount", "--lazy", place)


def run_command(command: list[str]) -> None:
    """Run a command to its end.

    Raises:
        CommandError: it failed; the message holds what it wrote to stderr.
    """
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - built by this package
    if answer.returncode:
        raise CommandError(f"`{' '.join(command)}` failed: {answer.stderr.strip()}")


def _ask(*command: str) -> str:
    """Run a command that may fail: what it is about may not be there."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - ours


@contextmanager
def _sole_node() -> Iterator[None]:
    """Names and addresses of the node are fixed: a second one would take them from the first."""
    with LOCK.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError("A real node runs on this machine already: stop it first (make cluster-down)") from error
        yield

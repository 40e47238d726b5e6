"""A real node: kube-scheduler, containerd, kubelet and kube-proxy, in a network namespace of their own. Linux and root.

Called by control_plane.py in the place of the test kubelet. Everything is in one directory, one namespace and one
control group, and is removed with them; containers end with containerd, which is held on a leash.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from estimatesync_cluster.errors import ToolMissingError
from estimatesync_cluster.go_tools import CTR, NODE_TOOLS, find_go_tool
from estimatesync_cluster.layout import write_private
from estimatesync_cluster.leashed import LeashedProcess, leashed
from estimatesync_cluster.node_configuration import (
    CGROUP,
    IMAGE_NAMESPACE,
    INSIDE,
    NETWORK_NAMESPACE,
    NODE_ADDRESS,
    NODE_NAME,
    NodeLayout,
    build_containerd_file,
    build_kubelet_file,
    build_network_commands,
    build_network_file,
    build_proxy_file,
)

PLUGINS = Path("/usr/lib/cni")
CGROUPS = Path("/sys/fs/cgroup")
MOUNTS = Path("/proc/mounts")
NEEDED = ("runc", "iptables", "conntrack", "nsenter", "ip", "sysctl", "mount")
SOCKET_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class RealNode:
    """What the node is given: image archives, which it knows from the start."""

    images: tuple[Path, ...] = ()
    name: str = NODE_NAME


@dataclass(frozen=True, kw_only=True)
class NodeCredentials:
    """PEM files: the cluster's authority and the node's own key pair."""

    authority: Path
    certificate: Path
    key: Path


def check_machine() -> None:
    """Make sure that a real node can be here; ToolMissingError says what is missing."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    missing += [] if (PLUGINS / "bridge").exists() else [f"the CNI plugins in {PLUGINS}"]
    if obstacle := decide_obstacle(platform=sys.platform, user=os.geteuid(), missing=missing):
        raise ToolMissingError(obstacle)


def decide_obstacle(*, platform: str, user: int, missing: list[str]) -> str | None:
    """Decide whether a machine can be a node: None, or what to do about it."""
    if platform != "linux" or user != 0:
        return "A real node needs root on Linux. Without it, the test kubelet does (make cluster)."
    if missing:
        return (
            f"A real node needs {', '.join(missing)} (on Debian: apt install runc containernetworking-plugins iptables "
            "conntrack iproute2)"
        )
    return None


@contextmanager
def node_network() -> Iterator[None]:
    """Have the node's network for the time of the context."""
    check_machine()
    remove_network()
    try:
        for command in build_network_commands():
            _run(command)
        yield
    finally:
        remove_network()


def remove_network() -> None:
    """Remove it, also when a crash has left it."""
    subprocess.run(["ip", "netns", "delete", NETWORK_NAMESPACE], capture_output=True, check=False)  # noqa: S603, S607 - constants


def start_node(
    stack: ExitStack, node: RealNode, *, root: Path, logs: Path, kubeconfig: bytes, credentials: NodeCredentials
) -> tuple[LeashedProcess, ...]:
    """Start the node's programs; they are stopped, and their traces removed, when the stack is closed."""
    layout = NodeLayout(root=root, run=Path("/run/estimatesync-node"))
    stack.callback(_remove_traces, layout)
    _write_files(layout, kubeconfig, credentials)
    tools = {tool.name: find_go_tool(tool, environ=os.environ, report=_report) for tool in NODE_TOOLS}
    environment = {**os.environ, "PATH": _build_path(tools)}

    def run(name: str, *arguments: str, inside: bool = True, grace: float = 0) -> LeashedProcess:
        command = [*(INSIDE if inside else ()), str(tools[name]), *arguments]
        return stack.enter_context(
            leashed(name, command, log=logs / f"{name}.log", grace=grace, environment=environment)
        )

    containerd = run("containerd", f"--config={layout.containerd}")
    _wait_for(layout.socket, containerd)
    for image in node.images:
        _run(
            [
                str(tools[CTR.name]),
                f"--address={layout.socket}",
                f"--namespace={IMAGE_NAMESPACE}",
                "images",
                "import",
                str(image),
            ]
        )
    kubelet = run(
        "kubelet",
        f"--config={layout.kubelet}",
        f"--kubeconfig={layout.kubeconfig}",
        f"--root-dir={layout.root / 'kubelet'}",
        f"--hostname-override={node.name}",
        f"--node-ip={NODE_ADDRESS}",
        f"--cert-dir={layout.root}",
    )
    proxy = run("kube-proxy", f"--config={layout.root / 'proxy.yaml'}", f"--hostname-override={node.name}")
    flags = (f"--kubeconfig={layout.kubeconfig}", "--leader-elect=false", "--secure-port=0")
    return containerd, kubelet, proxy, run("kube-scheduler", *flags, inside=False)


def _write_files(layout: NodeLayout, kubeconfig: bytes, credentials: NodeCredentials) -> None:
    for directory in (layout.root, layout.run, layout.networks):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for controller in _list_hierarchies():
        with suppress(OSError):
            (controller / CGROUP.strip("/")).mkdir(exist_ok=True)
    write_private(layout.kubeconfig, kubeconfig)
    layout.containerd.write_text(build_containerd_file(layout, plugins=PLUGINS))
    (layout.networks / "10-pods.conflist").write_text(build_network_file())
    layout.kubelet.write_text(
        build_kubelet_file(
            layout, authority=credentials.authority, certificate=credentials.certificate, key=credentials.key
        )
    )
    (layout.root / "proxy.yaml").write_text(build_proxy_file(layout))


def _build_path(tools: Mapping[str, Path]) -> str:
    """Build a PATH on which containerd finds its shim, and both find runc, mount and iptables."""
    return os.pathsep.join([*(str(tool.parent) for tool in tools.values()), "/usr/sbin", "/sbin", os.environ["PATH"]])


def _list_hierarchies() -> list[Path]:
    """Control groups of version 1 have a tree for each controller, those of version 2 one for all."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [each for each in CGROUPS.iterdir() if each.is_dir()]


def _remove_traces(layout: NodeLayout) -> None:
    # Longest first: a mount inside another one goes before it.
    places = [line.split()[1] for line in MOUNTS.read_text().splitlines()]
    own = [each for each in places if each.startswith((f"{layout.root}/", f"{layout.run}/"))]
    for place in sorted(own, key=len, reverse=True):
        subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)  # noqa: S603, S607 - a path of ours
    shutil.rmtree(layout.run, ignore_errors=True)
    for hierarchy in _list_hierarchies():
        root = hierarchy / CGROUP.strip("/")
        for group in sorted(root.rglob("*/"), key=lambda path: len(str(path)), reverse=True):
            with suppress(OSError):
                group.rmdir()
        with suppress(OSError):
            root.rmdir()


def _wait_for(socket: Path, process: LeashedProcess) -> None:
    deadline = time.monotonic() + SOCKET_SECONDS
    while not socket.exists():
        if process.has_ended() or time.monotonic() > deadline:
            raise process.build_error("did not open its socket")
        time.sleep(0.05)


def _run(command: list[str]) -> None:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - built by this package
    if answer.returncode:
        raise ToolMissingError(f"`{' '.join(command)}` failed: {answer.stderr.strip()}")


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")

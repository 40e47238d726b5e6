"""A real node: containerd, kubelet and kube-proxy, in a network namespace of their own. Linux and root.

Called by control_plane.py in the place of the test kubelet. The network, and what a machine must be capable of, are
node_machine.py's business. Everything is in one directory, one namespace and one
control group, and is removed with them; containers end with containerd, which is held on a leash.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from estimatesync_cluster.go_tools import CTR, NODE_TOOLS, find_go_tool
from estimatesync_cluster.layout import write_private
from estimatesync_cluster.leashed import LeashedProcess, leashed
from estimatesync_cluster.node_configuration import (
    CGROUP,
    IMAGE_NAMESPACE,
    INSIDE,
    NODE_ADDRESS,
    NODE_NAME,
    NodeLayout,
    build_containerd_file,
    build_kubelet_file,
    build_network_file,
    build_proxy_file,
)
from estimatesync_cluster.node_machine import PLUGINS, list_hierarchies, run_command, unmount_below

RUN = Path("/run/estimatesync-node")
SOCKET = RUN / "containerd.sock"
CNI_RESULTS = Path("/var/lib/cni/results")
LOG_LINKS = Path("/var/log/containers")
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


def build_layout(root: Path) -> NodeLayout:
    """Build the paths of the node whose lasting files are in `root`; all mounts are in the other, short one."""
    return NodeLayout(root=root, run=RUN)


def find_node_tools() -> dict[str, Path]:
    """Find the node's programs by name, building what is missing, which takes minutes the first time.

    Raises:
        ToolMissingError: a build is needed and this machine has no Go and cannot get it.
        BuildError: the build failed.
    """
    return {tool.name: find_go_tool(tool, environ=os.environ, report=_report) for tool in NODE_TOOLS}


def list_archives(directory: Path) -> tuple[Path, ...]:
    """List the image archives of a directory."""
    return tuple(sorted(directory.glob("*.tar")))


def import_images(images: Iterable[Path], *, socket: Path = SOCKET) -> None:
    """Let the node know images, also while it runs: what it starts from then on is of these.

    Raises:
        CommandError: containerd refused one.
    """
    ctr = find_go_tool(CTR, environ=os.environ, report=_report)
    for image in images:
        run_command([str(ctr), f"--address={socket}", f"--namespace={IMAGE_NAMESPACE}", "images", "import", str(image)])


def start_node(
    stack: ExitStack, node: RealNode, *, root: Path, logs: Path, kubeconfig: bytes, credentials: NodeCredentials
) -> tuple[LeashedProcess, ...]:
    """Start the node's programs; they are stopped, and their traces removed, when the stack is closed."""
    layout = build_layout(root)
    # Before as well as after: a node that was killed has removed nothing.
    remove_traces(layout)
    stack.callback(remove_traces, layout)
    _write_files(layout, kubeconfig, credentials)
    tools = find_node_tools()
    environment = {**os.environ, "PATH": _build_path(tools)}

    def run(name: str, *arguments: str) -> LeashedProcess:
        command = [*INSIDE, str(tools[name]), *arguments]
        return stack.enter_context(leashed(name, command, log=logs / f"{name}.log", environment=environment))

    containerd = run("containerd", f"--config={layout.containerd}")
    _wait_for(layout.socket, containerd)
    import_images(node.images, socket=layout.socket)
    kubelet = run(
        "kubelet",
        f"--config={layout.kubelet}",
        f"--kubeconfig={layout.kubeconfig}",
        f"--root-dir={layout.kubelet_root}",
        f"--hostname-override={node.name}",
        f"--node-ip={NODE_ADDRESS}",
        f"--cert-dir={layout.root}",
    )
    proxy = run("kube-proxy", f"--config={layout.root / 'proxy.yaml'}", f"--hostname-override={node.name}")
    return containerd, kubelet, proxy


def _write_files(layout: NodeLayout, kubeconfig: bytes, credentials: NodeCredentials) -> None:
    for directory in (layout.root, layout.run, layout.networks, layout.kubelet_root):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for controller in list_hierarchies():
        with suppress(OSError):
            (controller / CGROUP.strip("/")).mkdir(exist_ok=True)
    write_private(layout.kubeconfig, kubeconfig)
    layout.containerd.write_text(build_containerd_file(layout, plugins=PLUGINS))
    (layout.networks / "10-pods.conflist").write_text(build_network_file(layout))
    layout.kubelet.write_text(
        build_kubelet_file(
            layout, authority=credentials.authority, certificate=credentials.certificate, key=credentials.key
        )
    )
    (layout.root / "proxy.yaml").write_text(build_proxy_file(layout))


def _build_path(tools: Mapping[str, Path]) -> str:
    """Build a PATH on which containerd finds its shim, and both find runc, mount and iptables."""
    return os.pathsep.join([*(str(tool.parent) for tool in tools.values()), "/usr/sbin", "/sbin", os.environ["PATH"]])


def remove_traces(layout: NodeLayout) -> None:
    """Remove what a node leaves outside of its directory, also when it was killed."""
    unmount_below(layout.run)
    shutil.rmtree(layout.run, ignore_errors=True)
    for trace in (*_list_results(layout), *_list_links(layout)):
        trace.unlink(missing_ok=True)
    for hierarchy in list_hierarchies():
        root = hierarchy / CGROUP.strip("/")
        for group in sorted(root.rglob("*/"), key=lambda path: len(str(path)), reverse=True):
            with suppress(OSError):
                group.rmdir()
        with suppress(OSError):
            root.rmdir()


def _list_results(layout: NodeLayout) -> list[Path]:
    """The network's plugins keep what they answered, in a directory that they cannot be told."""
    own = f'"{layout.run}/'
    return [result for result in CNI_RESULTS.glob("*") if own in result.read_text()]


def _list_links(layout: NodeLayout) -> list[Path]:
    """The kubelet links each log from a directory that it cannot be told."""
    return [link for link in LOG_LINKS.glob("*.log") if link.readlink().is_relative_to(layout.pod_logs)]


def _wait_for(socket: Path, process: LeashedProcess) -> None:
    deadline = time.monotonic() + SOCKET_SECONDS
    while not socket.exists():
        if process.has_ended() or time.monotonic() > deadline:
            raise process.build_error("did not open its socket")
        time.sleep(0.05)


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")

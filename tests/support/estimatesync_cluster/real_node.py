"""A real node in the place of the test kubelet: containerd, kubelet, kube-proxy and kube-router. Linux and root.

What a machine must have and may do comes first, also for the command `check-node`, then the node's network, which
control_plane.py holds for as long as the node lives, then the programs. Everything is in one directory, one network
namespace and one control group, and is removed with them; containers end with containerd, which runs under guard.

The node's bridge lets everything through, so kube-router's firewall enforces NetworkPolicies, once the node is there.
Its chains and sets are in the node's network namespace, and go with it.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from estimatesync_cluster.errors import CommandError, SettingError, ToolMissingError
from estimatesync_cluster.go_build import NEWEST
from estimatesync_cluster.guarded_process import GuardedProcess, guarded
from estimatesync_cluster.image_archives import write_together
from estimatesync_cluster.layout import write_private
from estimatesync_cluster.node_configuration import (
    CGROUP,
    DEVICE,
    IMAGE_NAMESPACE,
    INSIDE,
    NETWORK_NAMESPACE,
    NODE_ADDRESS,
    NODE_NAME,
    SERVICE_RANGE,
    TRIAL_CGROUP,
    NodeLayout,
    build_containerd_file,
    build_kubelet_file,
    build_network_commands,
    build_network_file,
    build_proxy_file,
    build_registry_file,
    build_trial_commands,
)
from estimatesync_cluster.programs import (
    CTR,
    KUBE_ROUTER,
    NODE_TOOLS,
    TEST_KUBERNETES,
    choose_kubernetes,
    find_go_tool,
)
from estimatesync_cluster.terminal import report

PLUGINS = Path("/usr/lib/cni")
CGROUPS = Path("/sys/fs/cgroup")
MOUNTS = Path("/proc/mounts")
BRIDGE_FILTER = Path("/proc/sys/net/bridge")
CONTROLLERS = ("cpu", "memory", "pids")
LOCK = Path("/run/estimatesync-node.lock")
END_SECONDS = 20.0
NEEDED = ("runc", "iptables", "ipset", "conntrack", "nsenter", "unshare", "ip", "sysctl", "mount")

RUN = Path("/run/estimatesync-node")
SOCKET = RUN / "containerd.sock"
CNI_RESULTS = Path("/var/lib/cni/results")
LOG_LINKS = Path("/var/log/containers")
SOCKET_SECONDS = 30.0
LAST_CHAIN: Final = "KUBE-NWPLCY-TAIL"
"""What kube-router makes last, before it reads the first policy."""


def check_machine() -> None:
    """Make sure that a real node can be here; ToolMissingError says what is missing."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    missing += [] if (PLUGINS / "bridge").exists() else [f"the CNI plugins in {PLUGINS}"]
    # Not loaded for the person: it changes how the machine's other bridges are filtered, too.
    missing += [] if BRIDGE_FILTER.exists() else ["the kernel's module br_netfilter (modprobe br_netfilter)"]
    if blocker := decide_node_blocker(platform=sys.platform, user=os.geteuid(), missing=missing):
        raise ToolMissingError(blocker)


def decide_node_blocker(*, platform: str, user: int, missing: list[str]) -> str | None:
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
        # The programs of a killed node are ended by their guards, each in its own time.
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
        SettingError: the control plane is to be of an older Kubernetes than the node's programs are.
        ToolMissingError: a build is needed and this machine has no Go and cannot get it.
        BuildError: the build failed.
    """
    if choose_kubernetes(os.environ) != NEWEST:
        raise SettingError(f"A real node is of the newest Kubernetes only: leave out {TEST_KUBERNETES}")
    return {tool.name: find_go_tool(tool, environ=os.environ, report=report) for tool in NODE_TOOLS}


def list_archives(directory: Path) -> tuple[Path, ...]:
    """List the image archives of a directory."""
    return tuple(sorted(directory.glob("*.tar")))


def import_images(images: Iterable[Path], *, socket: Path = SOCKET) -> None:
    """Let the node know images, also while it runs: what it starts from then on is of these.

    Raises:
        CommandError: containerd refused one.
    """
    ctr = find_go_tool(CTR, environ=os.environ, report=report)
    with tempfile.NamedTemporaryFile(prefix="estimatesync-images-") as together:
        if write_together(images, together):
            together.flush()
            command = [str(ctr), f"--address={socket}", f"--namespace={IMAGE_NAMESPACE}", "images", "import"]
            run_command([*command, together.name])


def allow_registry(address: str) -> None:
    """Let the running node pull without TLS from a registry of this machine, such as `10.88.77.1:5000`."""
    directory = build_layout(RUN).registries / address
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "hosts.toml").write_text(build_registry_file(address))


def start_node(
    stack: ExitStack, node: RealNode, *, root: Path, logs: Path, kubeconfig: bytes, credentials: NodeCredentials
) -> tuple[GuardedProcess, ...]:
    """Start the node's programs; they are stopped, and their traces removed, when the stack is closed."""
    layout = build_layout(root)
    # Before as well as after: a node that was killed has removed nothing.
    remove_traces(layout)
    stack.callback(remove_traces, layout)
    _write_files(layout, kubeconfig, credentials)
    tools = find_node_tools()
    environment = {**os.environ, "PATH": _build_path(tools)}

    def run(name: str, *arguments: str) -> GuardedProcess:
        command = [*INSIDE, str(tools[name]), *arguments]
        return stack.enter_context(guarded(name, command, log=logs / f"{name}.log", environment=environment))

    containerd = run("containerd", f"--config={layout.containerd}")
    containerd.wait_until(layout.socket.exists, seconds=SOCKET_SECONDS)
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
    """The network's plugins keep what they answered, in a directory that cannot be configured."""
    own = f'"{layout.run}/'
    return [result for result in CNI_RESULTS.glob("*") if own in result.read_text()]


def _list_links(layout: NodeLayout) -> list[Path]:
    """The kubelet links each log from a directory that cannot be configured."""
    return [link for link in LOG_LINKS.glob("*.log") if link.readlink().is_relative_to(layout.pod_logs)]


def start_policies(stack: ExitStack, node: RealNode, *, root: Path, logs: Path) -> GuardedProcess:
    """Start it for a node that is registered, which it does not wait for; it ends when the stack is closed."""
    program = find_go_tool(KUBE_ROUTER, environ=os.environ, report=report)
    command = [*INSIDE, *build_policies_command(build_layout(root), program, node=node.name)]
    # Where iptables and ipset are.
    environment = {**os.environ, "PATH": os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])}
    return stack.enter_context(
        guarded(KUBE_ROUTER.name, command, log=logs / "kube-router.log", environment=environment)
    )


def build_policies_command(layout: NodeLayout, program: Path, *, node: str) -> list[str]:
    """Build kube-router's command line: its firewall only, as kube-proxy and the bridge do the rest."""
    return [
        str(program),
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        "--enable-cni=false",
        f"--kubeconfig={layout.kubeconfig}",
        f"--hostname-override={node}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--health-port=0",
    ]


def are_policies_enforced() -> bool:
    """Check that it has taken its place among the node's packet filters."""
    command = [*INSIDE, "iptables", "--wait", "--list-rules", LAST_CHAIN]
    return not subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603 - of this package

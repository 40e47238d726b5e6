"""Configuration files and command lines of a real node's programs, as pure functions; each surprise has its reason.

Called by real_node.py. What the programs are: tests/support/go/node and tests/support/go/containerd.
"""

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import yaml

NODE_NAME: Final = "node"
HOST_ADDRESS: Final = "10.88.77.1"
"""This machine, for the node and its pods: the API server listens here."""
NODE_ADDRESS: Final = "10.88.77.2"
LINK_PREFIX: Final = 30
POD_RANGE: Final = "10.88.78.0/24"
SERVICE_RANGE: Final = "10.0.0.0/24"
FIRST_SERVICE: Final = "10.0.0.1"
"""Under which pods know the API server."""
NETWORK_NAMESPACE: Final = "estimatesync"
DEVICE: Final = "estimatesync0"
CGROUP: Final = "/estimatesync"
TRIAL_CGROUP: Final = "estimatesync-trial"
PAUSE_IMAGE: Final = f"docker.io/library/estimatesync-pause:{version('estimatesync')}"
IMAGE_NAMESPACE: Final = "k8s.io"
INSIDE: Final = ("nsenter", f"--net=/run/netns/{NETWORK_NAMESPACE}")
"""Not `ip netns exec`: it mounts a /sys of its own, in which there are no control groups."""


@dataclass(frozen=True, kw_only=True)
class NodeLayout:
    """The files of the node. The paths of sockets are limited to about 100 bytes, so `run` is a short one."""

    root: Path
    run: Path

    @property
    def socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def containerd(self) -> Path:
        return self.root / "containerd.toml"

    @property
    def networks(self) -> Path:
        """Directory of the pods' network configuration."""
        return self.root / "cni"

    @property
    def registries(self) -> Path:
        """Directory in which a directory of each registry says how it is spoken to."""
        return self.run / "registries"

    @property
    def kubelet(self) -> Path:
        """Configuration of the kubelet."""
        return self.root / "kubelet.yaml"

    @property
    def kubelet_root(self) -> Path:
        """Where the kubelet keeps pods' files, and sockets of its own."""
        return self.run / "kubelet"

    @property
    def pod_logs(self) -> Path:
        """Directory of the containers' output."""
        return self.root / "pod-logs"

    @property
    def addresses(self) -> Path:
        """Which pod has which address."""
        return self.root / "addresses"

    @property
    def kubeconfig(self) -> Path:
        """Identity of the node's programs towards the API server."""
        return self.root / "node.kubeconfig"


def build_containerd_file(layout: NodeLayout, *, plugins: Path) -> str:
    """Build containerd's configuration (version 3)."""
    return f"""version = 3
root = "{layout.root}/containerd"
state = "{layout.run}/state"
[grpc]
address = "{layout.socket}"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "{layout.registries}"
[plugins."io.containerd.cri.v1.runtime"]
# Without CAP_SYS_RESOURCE a score cannot be lowered, and runc would die with "can't get final child's PID".
restrict_oom_score_adj = true
# Whatever is mounted goes with the directory.
netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{plugins}"]
conf_dir = "{layout.networks}"
"""


def build_registry_file(address: str) -> str:
    """Build what lets containerd pull from a registry that speaks no TLS, such as one of a test."""
    url = f"http://{address}"
    return f'server = "{url}"\n[host."{url}"]\ncapabilities = ["pull", "resolve"]\n'


def build_network_file(layout: NodeLayout) -> str:
    """Build the pods' network: a bridge, through which they reach each other, and masquerading for the rest."""
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": POD_RANGE}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            # The usual place would outlive the node, and its addresses would run out one day.
            "dataDir": str(layout.addresses),
        },
    }
    chain = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": chain})


def build_kubelet_file(layout: NodeLayout, *, authority: Path, certificate: Path, key: Path) -> str:
    """Build the kubelet's configuration."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE_ADDRESS,
            "authentication": {"x509": {"clientCAFile": str(authority)}, "anonymous": {"enabled": False}},
            # Only the API server has a certificate that is let in.
            "authorization": {"mode": "AlwaysAllow"},
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "containerRuntimeEndpoint": f"unix://{layout.socket}",
            "cgroupDriver": "cgroupfs",
            # Another kubelet, or another program, may have its own tree on this machine.
            "cgroupRoot": CGROUP,
            "podLogsDir": str(layout.pod_logs),
            "failCgroupV1": False,
            "failSwapOn": False,
            "healthzPort": 0,
            "readOnlyPort": 0,
            # This machine's disk is not the node's to judge.
            "evictionHard": {"memory.available": "100Mi"},
            "imageGCHighThresholdPercent": 100,
            "clusterDomain": "cluster.local",
            "nodeStatusUpdateFrequency": "5s",
            # How soon a pod finds what has changed in its mounted Secrets: a minute otherwise.
            "syncFrequency": "5s",
        }
    )


def build_proxy_file(layout: NodeLayout) -> str:
    """Build kube-proxy's configuration; limits of the connection table are the machine's own."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": POD_RANGE,
            "clientConnection": {"kubeconfig": str(layout.kubeconfig)},
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "healthzBindAddress": "",
            "metricsBindAddress": f"{NODE_ADDRESS}:10249",
        }
    )


def build_network_commands(device: str = DEVICE) -> tuple[list[str], ...]:
    """Build what makes the node's own network, which goes as a whole when its namespace does."""
    inside = ["ip", "-n", NETWORK_NAMESPACE]
    return (
        ["ip", "netns", "add", NETWORK_NAMESPACE],
        ["ip", "link", "add", device, "type", "veth", "peer", "name", "up0", "netns", NETWORK_NAMESPACE],
        ["ip", "address", "add", f"{HOST_ADDRESS}/{LINK_PREFIX}", "dev", device],
        ["ip", "link", "set", device, "up"],
        [*inside, "address", "add", f"{NODE_ADDRESS}/{LINK_PREFIX}", "dev", "up0"],
        [*inside, "link", "set", "up0", "up"],
        [*inside, "link", "set", "lo", "up"],
        [*inside, "route", "add", "default", "via", HOST_ADDRESS],
        ["ip", "route", "add", POD_RANGE, "via", NODE_ADDRESS],
        ["ip", "route", "add", SERVICE_RANGE, "via", NODE_ADDRESS],
        [*INSIDE, "sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1"],
        # Else what one pod sends to another passes the bridge, and no filter.
        [*INSIDE, "sysctl", "--quiet", "--write", "net.bridge.bridge-nf-call-iptables=1"],
    )


def build_trial_commands(place: Path) -> tuple[list[str], ...]:
    """Build what only a root with a kernel of its own, or nearly so, may do; `place` is an empty directory."""
    layers = {name: place / name for name in ("lower", "upper", "work", "whole")}
    bridged, of_the_set = (
        ("--match", "physdev", "--physdev-is-bridged"),
        ("--match", "set", "--match-set", "trial", "src"),
    )
    options = f"lowerdir={layers['lower']},upperdir={layers['upper']},workdir={layers['work']}"
    return (
        ["ip", "-n", NETWORK_NAMESPACE, "link", "add", "trial", "type", "bridge"],
        [*INSIDE, "iptables", "--wait", "--table", "nat", "--list", "--numeric"],
        [*INSIDE, "ipset", "create", "trial", "hash:ip", "timeout", "0"],
        [*INSIDE, "iptables", "--wait", "--append", "FORWARD", *bridged, *of_the_set, "--jump", "NFLOG"],
        ["mkdir", *map(str, layers.values())],
        # In a namespace of its own, which takes the mount away with it.
        ["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options, str(layers["whole"])],
    )

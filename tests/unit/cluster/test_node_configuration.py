import ipaddress
import json
import tomllib
from pathlib import Path

import pytest
import yaml
from estimatesync_cluster.errors import ToolMissingError
from estimatesync_cluster.node_configuration import (
    CGROUP,
    FIRST_SERVICE,
    HOST_ADDRESS,
    LINK_PREFIX,
    NETWORK_NAMESPACE,
    NODE_ADDRESS,
    POD_RANGE,
    SERVICE_RANGE,
    NodeLayout,
    build_containerd_file,
    build_kubelet_file,
    build_network_commands,
    build_network_file,
    build_registry_file,
)
from estimatesync_cluster.real_node import build_policies_command, decide_node_blocker

LAYOUT = NodeLayout(root=Path("/state"), run=Path("/run/node"))


def test_the_addresses_do_not_overlap_and_both_ends_of_the_link_are_on_it() -> None:
    link = ipaddress.ip_network(f"{HOST_ADDRESS}/{LINK_PREFIX}", strict=False)
    networks = [link, ipaddress.ip_network(POD_RANGE), ipaddress.ip_network(SERVICE_RANGE)]

    assert ipaddress.ip_address(NODE_ADDRESS) in link
    assert ipaddress.ip_address(FIRST_SERVICE) == networks[2][1]
    assert not any(a.overlaps(b) for a in networks for b in networks if a is not b)


def test_everything_of_the_network_but_this_machines_end_is_in_the_namespace() -> None:
    first, *_ = commands = build_network_commands()

    assert first == ["ip", "netns", "add", NETWORK_NAMESPACE]
    assert not [command for command in commands if "iptables" in command or "/etc" in " ".join(command)]


def test_containerd_pulls_nothing_and_keeps_to_its_directories() -> None:
    configuration = tomllib.loads(build_containerd_file(LAYOUT, plugins=Path("/plugins")))

    assert (configuration["root"], configuration["state"]) == ("/state/containerd", "/run/node/state")
    plugins = configuration["plugins"]
    assert plugins["io.containerd.cri.v1.runtime"]["cni"] == {"bin_dirs": ["/plugins"], "conf_dir": "/state/cni"}
    assert plugins["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"].startswith(
        "docker.io/library/estimatesync"
    )


def test_the_kubelet_lets_in_only_whom_it_knows() -> None:
    paths = {"authority": Path("/ca.pem"), "certificate": Path("/node.pem"), "key": Path("/node.key")}

    configuration = yaml.safe_load(build_kubelet_file(LAYOUT, **paths))

    assert configuration["authentication"] == {"anonymous": {"enabled": False}, "x509": {"clientCAFile": "/ca.pem"}}
    assert (configuration["address"], configuration["readOnlyPort"]) == (NODE_ADDRESS, 0)
    assert configuration["cgroupRoot"] == CGROUP


def test_pods_are_masqueraded_on_a_bridge_of_their_range() -> None:
    bridge, _ = json.loads(build_network_file(LAYOUT))["plugins"]

    assert (bridge["type"], bridge["ipMasq"]) == ("bridge", True)
    assert bridge["ipam"]["ranges"] == [[{"subnet": POD_RANGE}]]


def test_of_kube_router_only_the_firewall_runs() -> None:
    program, *flags = build_policies_command(LAYOUT, Path("/cache/kube-router"), node="node")

    assert program == "/cache/kube-router"
    assert [each for each in flags if each.startswith("--run-") and each.endswith("=true")] == ["--run-firewall=true"]
    assert f"--service-cluster-ip-range={SERVICE_RANGE}" in flags


@pytest.mark.parametrize(
    ("platform", "user", "missing", "words"),
    [
        pytest.param("linux", 1000, [], "needs root on Linux", id="no root"),
        pytest.param("darwin", 0, [], "needs root on Linux", id="no Linux"),
        pytest.param("linux", 0, ["runc"], "needs runc (on Debian: make node-packages", id="no runc"),
    ],
)
def test_a_machine_that_cannot_be_a_node_is_refused_with_the_reason(
    platform: str, user: int, missing: list[str], words: str
) -> None:
    blocker = decide_node_blocker(platform=platform, user=user, missing=missing)

    assert blocker is not None
    assert words in str(ToolMissingError(blocker))


def test_root_on_linux_with_every_tool_is_enough() -> None:
    assert decide_node_blocker(platform="linux", user=0, missing=[]) is None


def test_a_registry_without_tls_is_one_that_the_node_was_told_of() -> None:
    configured = tomllib.loads(build_containerd_file(LAYOUT, plugins=Path("/cni")))
    hosts = tomllib.loads(build_registry_file("10.88.77.1:5000"))

    images = configured["plugins"]["io.containerd.cri.v1.images"]
    assert images["registry"] == {"config_path": "/run/node/registries"}
    assert hosts == {
        "server": "http://10.88.77.1:5000",
        "host": {"http://10.88.77.1:5000": {"capabilities": ["pull", "resolve"]}},
    }

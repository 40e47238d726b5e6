from typing import Any

import pytest
from estimatesync_cluster.test_kubelet.container_runner import find_port
from estimatesync_cluster.test_kubelet.environment import compute_pod_address
from estimatesync_cluster.test_kubelet.manifests import Container, ContainerPort, HttpGet


def test_each_pod_has_a_stable_address_of_its_own() -> None:
    addresses = [compute_pod_address(f"uid-{number}", platform="linux") for number in range(200)]

    assert len(set(addresses)) == 200
    assert compute_pod_address("uid-0", platform="linux") == addresses[0]
    assert all(address.startswith("127.") and not address.startswith(("127.0.", "127.1.")) for address in addresses)


def test_where_there_is_one_loopback_address_pods_share_it() -> None:
    assert {compute_pod_address(uid, platform="darwin") for uid in ("a", "b")} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("port", "number"), [pytest.param(9, 9, id="a number"), pytest.param("http", 8080, id="a name")]
)
def test_a_probe_names_a_port_or_gives_its_number(port: Any, number: int) -> None:
    container = Container(name="c", ports=(ContainerPort(container_port=8080, name="http"),))

    assert find_port(container, HttpGet(port=port)) == number


def test_an_unknown_port_is_named() -> None:
    with pytest.raises(ValueError, match="no port named metrics"):
        find_port(Container(name="c"), HttpGet(port="metrics"))

"""That what is tested as the oldest Kubernetes is the oldest, and that what is said of its differences is true."""

import json
import subprocess

import pytest
from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.go_build import OLDEST
from estimatesync_cluster.programs import Binaries, read_kubernetes_version


def test_the_api_server_is_of_the_oldest_supported_version(cluster: Cluster) -> None:
    told = json.loads(cluster.kubectl("version", "--output=json").stdout)["serverVersion"]

    assert told["gitVersion"] == read_kubernetes_version(OLDEST)


@pytest.mark.parametrize("name", ["kube-apiserver", "kube-controller-manager", "kube-scheduler"])
def test_every_component_is_of_the_oldest_supported_version(programs: Binaries, name: str) -> None:
    program = programs.directory / name

    told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout

    assert told.split() == ["Kubernetes", read_kubernetes_version(OLDEST)]

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from estimatesync_cluster.test_kubelet.environment import compute_mounts, redirect_paths
from estimatesync_cluster.test_kubelet.manifests import Pod


def test_secrets_and_config_maps_are_mounted_and_other_volumes_are_not(build_pod: Callable[..., Pod]) -> None:
    volumes: list[dict[str, Any]] = [
        {"name": "keys", "secret": {"secretName": "api-keys"}},
        {"name": "ca", "configMap": {"name": "company-ca"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    mounts = [{"name": volume["name"], "mountPath": f"/etc/{volume['name']}"} for volume in volumes]
    pod = build_pod(container={"volumeMounts": mounts}, volumes=volumes)

    assert compute_mounts(pod.spec.containers[0], pod) == {
        "/etc/keys": ("Secret", "api-keys"),
        "/etc/ca": ("ConfigMap", "company-ca"),
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("/etc/keys/API_KEYS", "/pod/keys/API_KEYS", id="a file of the mount"),
        pytest.param("/etc/keys", "/pod/keys", id="the mount itself"),
        pytest.param("/etc/keys-of-others", "/etc/keys-of-others", id="a path that only begins alike"),
        pytest.param("see /etc/keys/API_KEYS", "see /etc/keys/API_KEYS", id="no path"),
    ],
)
def test_a_variable_that_names_a_mount_is_redirected_to_its_files(value: str, expected: str) -> None:
    assert redirect_paths({"X": value}, {"/etc/keys": Path("/pod/keys")}) == {"X": expected}

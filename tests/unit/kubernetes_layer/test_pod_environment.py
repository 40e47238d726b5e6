import pytest
from estimatesync_kubernetes.pod_environment import build_server_url


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        pytest.param({}, None, id="outside a cluster"),
        pytest.param(
            {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"},
            "https://10.0.0.1:6443",
            id="IPv4",
        ),
        pytest.param({"KUBERNETES_SERVICE_HOST": "fd00::1"}, "https://[fd00::1]:443", id="IPv6, the usual port"),
    ],
)
def test_the_api_server_is_reached_without_looking_up_its_name(environ: dict[str, str], url: str | None) -> None:
    assert build_server_url(environ) == url

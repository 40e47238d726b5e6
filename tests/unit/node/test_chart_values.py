"""What `make node` makes of addresses and images, without a node."""

import io
import tarfile
from pathlib import Path

import pytest
from estimatesync_node.main import Guide, build_guide
from estimatesync_node.release import build_image_values, build_pod_database_url, build_socket_path, read_image_ids
from estimatesync_node.supervisor import is_taking_requests

SOCKET_URL = "postgresql:///estimates?host=%2Fsome%2Fplace&port=5432&user=anna"
GUIDE = Guide(kubeconfig=Path("/state/kubeconfig"), kubectl=Path("/bin/kubectl"), api_url="http://127.0.0.1:8080")


def write_archive(path: Path, manifest: bytes) -> Path:
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(manifest)
        archive.addfile(entry, io.BytesIO(manifest))
    return path


def test_pods_reach_the_socket_of_a_database_by_an_address() -> None:
    assert build_socket_path(SOCKET_URL) == "/some/place/.s.PGSQL.5432"
    assert build_pod_database_url(SOCKET_URL, host="10.0.0.9", port=7) == "postgresql://anna@10.0.0.9:7/estimates"


def test_pods_are_replaced_when_and_only_when_an_image_has_changed(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "api.tar", b'[{"Config":"one"}]')
    first = read_image_ids([archive])

    again = read_image_ids([write_archive(archive, b'[{"Config":"one"}]')])
    changed = read_image_ids([write_archive(archive, b'[{"Config":"two"}]')])

    assert build_image_values(first) == build_image_values(again)
    assert build_image_values(first) != build_image_values(changed)


@pytest.mark.parametrize(
    ("ready", "metadata", "taking"),
    [
        pytest.param("True", {}, True, id="ready"),
        pytest.param("False", {}, False, id="not ready yet"),
        pytest.param("True", {"deletionTimestamp": "2026-01-01T00:00:00Z"}, False, id="on its way out"),
    ],
)
def test_requests_go_where_a_service_would_send_them(ready: str, metadata: dict[str, str], *, taking: bool) -> None:
    pod = {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": ready}]}}

    assert is_taking_requests(pod) is taking


def test_the_commands_of_the_guide_hold_no_key() -> None:
    with_sample = build_guide(Guide(**{**vars(GUIDE), "api_key": Path("/state/api key")}))

    assert "$(cat '/state/api key')" in with_sample
    assert "one of your apiKeys" in build_guide(GUIDE)
    assert "what Make.com receives" not in build_guide(GUIDE)

"""The log of a sync whose pod had to be removed is shown from its status."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from estimatesync_api.adapters.kubernetes_logs import KubernetesLogs
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.status import EstimateSyncStatus

KEPT = ("kept first", "kept last")
STAMP = "2025-10-16T14:09:02.000000001Z"


class Client:
    """An API server with these pods, each with one line in its log."""

    def __init__(self, *pods: str) -> None:
        self.pods = pods

    async def get(self, path: str, query: Mapping[str, str]) -> bytes:
        if path.endswith("/pods"):
            metadata = [{"name": name, "creationTimestamp": "2025-10-16T14:09:01Z"} for name in self.pods]
            return json.dumps({"items": [{"metadata": each} for each in metadata]}).encode()
        return f"{STAMP if 'timestamps' in query else ''} of {path.split('/')[-2]}\n".lstrip().encode()


def build_logs(*pods: str) -> KubernetesLogs:
    client: Any = Client(*pods)
    return KubernetesLogs(client, "ns")


@pytest.mark.parametrize(
    ("pods", "kept", "expected"),
    [
        pytest.param((), KEPT, KEPT, id="its pod is gone"),
        pytest.param(("pod",), KEPT, ("of pod",), id="its pod is there"),
        pytest.param((), (), (), id="nothing was kept"),
    ],
)
def test_what_was_kept_is_shown_once_the_pod_is_gone(
    pods: tuple[str, ...], kept: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    sync = EstimateSync(metadata=Metadata(name="a", uid="uid-a"), status=EstimateSyncStatus(log=kept))
    logs = build_logs(*pods)

    first = asyncio.run(logs.read_part(sync, None))
    second = asyncio.run(logs.read_part(sync, first.cursor)) if first.cursor else first

    assert asyncio.run(logs.read_tail(sync)) == expected
    assert first.lines == expected
    assert second.lines == ()

"""A request for another delivery is built of the sync as it is when the request is stored."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from estimatesync_api.core.problems import StoreUnavailableError
from estimatesync_api.redelivery import request_redelivery
from estimatesync_contract.estimate_sync import EstimateSync, Metadata


class ChangingStore:
    """One sync, which somebody else changes so many times just before an annotation is to be stored."""

    def __init__(self, changes: int) -> None:
        self.version = 1
        self._changes = changes

    async def fetch(self, name: str) -> EstimateSync:
        return EstimateSync(metadata=Metadata(name=name, resource_version=str(self.version)))

    async def annotate(self, sync: EstimateSync, annotations: Mapping[str, str]) -> EstimateSync | None:
        if self._changes:
            self._changes -= 1
            self.version += 1
            return None
        assert sync.metadata.resource_version == str(self.version)
        return EstimateSync(metadata=Metadata(name=sync.name, annotations=dict(annotations)))


def ask(store: Any) -> EstimateSync | None:
    return asyncio.run(request_redelivery(store, "est-1", lambda sync: sync.metadata.resource_version, by="make"))


@pytest.mark.parametrize("changes", [0, 4])
def test_a_sync_that_changes_meanwhile_is_looked_at_again(changes: int) -> None:
    changed = ask(ChangingStore(changes))

    assert changed is not None
    assert changed.metadata.annotations == {
        "botzilla.io/redeliver": str(1 + changes),
        "botzilla.io/redelivered-by": "make",
    }


def test_one_that_changes_again_and_again_is_given_up() -> None:
    with pytest.raises(StoreUnavailableError, match="changes too often"):
        ask(ChangingStore(5))

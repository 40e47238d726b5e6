"""The watch goes on whatever interrupts it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import httpx
import pytest
from estimatesync_cluster.test_kubelet.kubelet import follow_pods
from estimatesync_cluster.test_kubelet.kubernetes_client import ApiError
from estimatesync_cluster.test_kubelet.manifests import Metadata, Pod, PodList

BuildPod = Callable[..., Pod]
Step = tuple[str, Pod] | Exception


class EndOfScriptError(Exception):
    """The script of a fake API server has no more events."""


class ScriptedSource:
    """Stands where the API server does: each watch plays one part of the script."""

    def __init__(self, *watches: list[Step]) -> None:
        self.watches = list(watches)
        self.lists = 0
        self.asked_from: list[str] = []

    async def fetch_pods(self) -> PodList:
        self.lists += 1
        return PodList(metadata=Metadata(resource_version=f"list-{self.lists}"))

    async def watch_pods(self, resource_version: str) -> AsyncIterator[tuple[str, Pod]]:
        self.asked_from.append(resource_version)
        if not self.watches:
            raise EndOfScriptError
        for step in self.watches.pop(0):
            if isinstance(step, Exception):
                raise step
            yield step


class Diary:
    """Records what a listener receives."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def on_listed(self, pods: Sequence[Pod]) -> None:
        self.entries.append(f"listed {len(pods)}")

    def on_changed(self, pod: Pod) -> None:
        self.entries.append(f"changed {pod.metadata.resource_version}")

    def on_deleted(self, pod: Pod) -> None:
        self.entries.append(f"deleted {pod.metadata.resource_version}")


def follow(source: ScriptedSource, *, until: type[Exception] = EndOfScriptError) -> list[str]:
    diary = Diary()
    with pytest.raises(until):
        asyncio.run(follow_pods(source, diary, pause=0))
    return diary.entries


def test_events_reach_the_listener_and_bookmarks_only_the_place(build_pod: BuildPod) -> None:
    first, second, third = (build_pod(metadata={"resourceVersion": version}) for version in "123")
    source = ScriptedSource([("ADDED", first), ("DELETED", second), ("BOOKMARK", third)])

    entries = follow(source)

    assert entries == ["listed 0", "changed 1", "deleted 2"]
    assert source.asked_from == ["list-1", "3"]


@pytest.mark.parametrize(
    ("interruption", "asked_from"),
    [
        pytest.param(ApiError(410, "too old resource version"), ["list-1", "list-2"], id="too old: list again"),
        pytest.param(ApiError(503, "shutting down"), ["list-1", "7"], id="server error: go on"),
        pytest.param(ApiError(429, "too many requests"), ["list-1", "7"], id="throttled: go on"),
        pytest.param(httpx.ConnectError("refused"), ["list-1", "7"], id="no connection: go on"),
        pytest.param(httpx.ReadTimeout("silence"), ["list-1", "7"], id="silence: go on"),
    ],
)
def test_interrupted_watch_goes_on(build_pod: BuildPod, interruption: Exception, asked_from: list[str]) -> None:
    pod = build_pod(metadata={"resourceVersion": "7"})
    source = ScriptedSource([("ADDED", pod), interruption])

    follow(source)

    assert source.asked_from == asked_from


def test_refusal_ends_the_watch() -> None:
    source = ScriptedSource([ApiError(403, "forbidden")])

    entries = follow(source, until=ApiError)

    assert (entries, source.asked_from) == (["listed 0"], ["list-1"])

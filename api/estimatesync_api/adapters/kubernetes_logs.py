"""Reads what the pods of a sync have printed, in parts, so that a log can be followed over any number of pods.

Lines are identified by the time that the container runtime gave each one, to the nanosecond. The API server takes a
time only to the second, so lines that were read before are dropped here.
https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#read-log-pod-v1-core
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import SYNC_CONTAINER, build_job_name
from estimatesync_kubernetes.client import KubernetesClient, build_path
from estimatesync_kubernetes.errors import InvalidObjectError, NotFoundError

from estimatesync_api.core.ports import LogCursor, LogPart

TAIL_LINES: Final = 1000
"""Of each run of a sync, in the answer to a caller who waited: a few megabytes at most."""

_STAMPED: Final = re.compile(r"(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)) (?P<text>.*)")
"""The kubelet writes all nine digits, so within one pod these times sort as text."""


class _PodMeta(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    creation_timestamp: datetime


class _Pod(msgspec.Struct, frozen=True):
    metadata: _PodMeta


class _Pods(msgspec.Struct, frozen=True):
    items: list[_Pod]


class KubernetesLogs:
    """The logs of one namespace. Every call raises a KubernetesError when a log cannot be read now."""

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    async def read_tail(self, sync: EstimateSync) -> tuple[str, ...]:
        """Read the end of each pod's log, the oldest pod first; where all are gone, what the status has kept."""
        options = {"tailLines": str(TAIL_LINES)}
        names = await self._list_pods(sync)
        lines = tuple([line for name in names for line in await self._read_lines(name, options)])
        return lines or sync.status.log

    async def read_part(self, sync: EstimateSync, cursor: LogCursor | None) -> LogPart:
        """Read on from the cursor, to the end of one pod's log: a kubelet keeps about ten megabytes of each."""
        names = await self._list_pods(sync)
        begin = names.index(cursor.source) if cursor and cursor.source in names else 0
        for name in names[begin:]:
            part = await self._read_pod_part(name, cursor if cursor and cursor.source == name else None)
            if part.lines:
                return part
        return LogPart(cursor=cursor) if cursor else _build_kept_part(sync.status.log)

    async def _list_pods(self, sync: EstimateSync) -> list[str]:
        # By the job, whose name holds the sync's uid: a label with the sync's own name would also find pods of an
        # earlier sync of that name.
        query = {"labelSelector": f"batch.kubernetes.io/job-name={build_job_name(sync.uid)}"}
        body = await self._client.get(build_path("v1", self._namespace, "pods"), query)
        pods = msgspec.json.decode(body, type=_Pods).items
        oldest_first = sorted(pods, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name))
        return [pod.metadata.name for pod in oldest_first]

    async def _read_pod_part(self, pod: str, cursor: LogCursor | None) -> LogPart:
        options = {"timestamps": "true", **({"sinceTime": cursor.position} if cursor else {})}
        matches = map(_STAMPED.fullmatch, await self._read_lines(pod, options))
        stamped = [(found["stamp"], found["text"]) for found in matches if found]
        return build_part(pod, stamped, cursor)

    async def _read_lines(self, pod: str, options: dict[str, str]) -> list[str]:
        path = build_path("v1", self._namespace, "pods", pod, "log")
        try:
            body = await self._client.get(path, {"container": SYNC_CONTAINER, **options})
        except (NotFoundError, InvalidObjectError):
            # 400 is how the API server says that a container has not started.
            return []
        return body.removesuffix(b"\n").decode(errors="replace").split("\n") if body else []


def build_part(pod: str, stamped: list[tuple[str, str]], cursor: LogCursor | None) -> LogPart:
    """Drop the lines up to the cursor, and set the cursor behind the others."""
    new = list(_skip_known(stamped, cursor))
    if not new:
        return LogPart(cursor=cursor)
    newest = new[-1][0]
    count = sum(stamp == newest for stamp, _ in new) + (cursor.count if cursor and cursor.position == newest else 0)
    return LogPart(lines=tuple(text for _, text in new), cursor=LogCursor(source=pod, position=newest, count=count))


def _build_kept_part(kept: tuple[str, ...]) -> LogPart:
    """All of what a status has kept: there is nothing to read on in, and no pod has this cursor's name."""
    return LogPart(lines=kept, cursor=LogCursor(source="") if kept else None)


def _skip_known(stamped: list[tuple[str, str]], cursor: LogCursor | None) -> Iterator[tuple[str, str]]:
    """Drop what was read before: earlier lines, and as many of the same time as were read then."""
    known = cursor.count if cursor else 0
    for stamp, text in stamped:
        if cursor and stamp == cursor.position and known:
            known -= 1
        elif not cursor or stamp >= cursor.position:
            yield stamp, text

"""An API whose syncs are files, for gunicorn to serve in tests of HTTP behaviour; it proves nothing about storage.

SYNC_DIRECTORY holds one `NAME.json` for each sync; a test ends it by writing `NAME.phase`. With SYNC_OUTCOME, each ends
so at once.
"""

import json
import os
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from estimatesync_api.app import create_app
from estimatesync_api.core.listing import SyncPage, SyncQuery, Work, build_page, find_phase, find_work
from estimatesync_api.core.ports import LogCursor, LogPart
from estimatesync_api.core.problems import SyncExistsError
from estimatesync_api.settings import parse_settings
from estimatesync_contract.estimate_sync import EstimateSync, parse_estimate_sync, to_object
from estimatesync_contract.names import ANNOTATION_REDELIVER
from estimatesync_contract.status import CallbackState, CallbackStatus, EstimateSyncStatus, Phase, Results

OUTCOME = os.environ.get("SYNC_OUTCOME")


class FileStore:
    """A SyncStore, as simple as tests can see through it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def open(self) -> None:
        (self._directory / "opened").touch()

    async def close(self) -> None:
        (self._directory / "closed").touch()

    async def check(self) -> None:
        """Always ready."""

    async def create(self, sync: EstimateSync) -> EstimateSync:
        try:
            with (self._directory / f"{sync.name}.json").open("x") as file:
                json.dump(to_object(sync), file)
        except FileExistsError as error:
            raise SyncExistsError from error
        return sync

    async def fetch(self, name: str) -> EstimateSync | None:
        try:
            sync = parse_estimate_sync(json.loads((self._directory / f"{name}.json").read_text()))
        except FileNotFoundError:
            return None
        phase = self._directory / f"{name}.phase"
        if OUTCOME:
            return _finish(sync, Phase(OUTCOME))
        return _finish(sync, Phase(phase.read_text())) if phase.exists() else sync

    async def find_active(self, work: Work) -> str | None:
        page = await self.list_page(SyncQuery(limit=100))
        found = [sync.name for sync in page.syncs if find_work(sync) == work]
        return found[0] if found else None

    async def find_ended(self, names: Collection[str]) -> frozenset[str]:
        return frozenset(name for name in names if OUTCOME or (self._directory / f"{name}.phase").exists())

    async def list_page(self, query: SyncQuery) -> SyncPage:
        names = sorted((path.stem for path in self._directory.glob("*.json")), reverse=True)
        found = [await self.fetch(name) for name in names]
        return build_page([sync for sync in found if sync and find_phase(sync) in query.phases], query.limit)

    async def count_phases(self) -> Mapping[Phase, int]:
        return Counter(map(find_phase, (await self.list_page(SyncQuery(limit=1000))).syncs))

    async def request_cancel(self, name: str, *, by: str) -> EstimateSync | None:  # noqa: ARG002 - the seam's parameters
        (self._directory / f"{name}.phase").write_text("Cancelled")
        return await self.fetch(name)

    async def annotate(self, sync: EstimateSync, annotations: Mapping[str, str]) -> EstimateSync | None:
        (self._directory / f"{sync.name}.redeliver").write_text(annotations[ANNOTATION_REDELIVER])
        return sync

    async def read_log_part(self, sync: EstimateSync, cursor: LogCursor | None) -> LogPart:
        log = self._directory / f"{sync.name}.log"
        lines = tuple(log.read_text().splitlines()) if log.exists() else ()
        return LogPart(lines=lines[cursor.count if cursor else 0 :], cursor=LogCursor(source="log", count=len(lines)))

    async def read_log(self, sync: EstimateSync) -> tuple[str, ...]:
        log = self._directory / f"{sync.name}.log"
        return tuple(log.read_text().splitlines()) if log.exists() else ("a line",)


def _finish(sync: EstimateSync, phase: Phase) -> EstimateSync:
    status = EstimateSyncStatus(
        phase=phase,
        completion_time=datetime.now(UTC),
        callback=CallbackStatus(state=CallbackState.DELIVERED),
        results=Results(new_estimates=45, updated_estimates=1564),
    )
    return msgspec.structs.replace(sync, status=status)


app = create_app(parse_settings(os.environ), FileStore(Path(os.environ["SYNC_DIRECTORY"])))

"""PostgreSQL as the sync program uses it, played: tables, one transaction for each pod, the lock around merges.

It knows what `merge_estimates.sql` and its neighbours do, and no SQL; that these do the same is shown on a real server
by `tests/integration/syncjob`. What a step meets is decided by the world.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final, NoReturn

import msgspec
from estimatesync_contract.refused_login import RefusedLogin
from estimatesync_contract.result import ResultError
from estimatesync_contract.status import Results
from estimatesync_job.core.base import EarlierSync
from estimatesync_job.core.deletions import Absent
from estimatesync_job.core.errors import DatabaseRefusedError, DatabaseUnavailableError
from estimatesync_job.core.ports import Staged, StoredRun, Transferred
from estimatesync_job.core.rows import Row, Rows

from estimatesync_simulator.sync_program.history import Effect, Step

WAIT_SECONDS: Final = 30.0
"""How long the program waits for a database at its start, as by default."""

_CONNECT_SECONDS: Final = 1.0

Meet = Callable[[Step], Awaitable[Effect | None]]
"""Makes a step of a pod, and says what goes wrong with it; does not return where the pod has died."""
Die = Callable[[], NoReturn]
"""Ends a pod right here."""


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit: whose, the tables before and after it, the counts that it recorded.

    Attributes:
        transferred: what it was made of; None for one of which nothing more is known.
        at: by the loop's clock.
    """

    uid: str
    pod: str
    before: dict[int, Row]
    after: dict[int, Row]
    run: StoredRun
    transferred: Transferred | None = None
    at: float = 0.0


class Database:
    """The tables."""

    def __init__(self) -> None:
        self.estimates: dict[int, Row] = {}
        self.commits: Final[list[Commit]] = []
        self.lock: Final = asyncio.Lock()
        self.away_until = 0.0
        self.refusal: RefusedLogin | None = None

    @property
    def is_away(self) -> bool:
        return asyncio.get_running_loop().time() < self.away_until

    def find_run(self, uid: str) -> StoredRun | None:
        return next((commit.run for commit in self.commits if commit.uid == uid), None)


class Transaction:
    """The EstimateStore of one pod."""

    def __init__(self, database: Database, *, uid: str, pod: str, meet: Meet, die: Die) -> None:
        self._database: Final = database
        self._uid = uid
        self._pod: Final = pod
        self._meet: Final = meet
        self._die: Final = die
        self._staged: Final[list[Row]] = []
        self._at_begin: dict[int, Row] = {}
        self._is_cut = False
        self._has_lock = False

    @property
    def encoding(self) -> str:
        return "UTF8"

    @property
    def staged(self) -> int:
        return len(self._staged)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Transaction"]:
        """Connect as long as there is hope, and roll back at the end what is not committed."""
        end = asyncio.get_running_loop().time() + WAIT_SECONDS
        while True:
            try:
                await self._work(Step.CONNECT)
                break
            except DatabaseUnavailableError:
                if asyncio.get_running_loop().time() + _CONNECT_SECONDS > end:
                    raise
            await asyncio.sleep(_CONNECT_SECONDS)
            self._is_cut = False
        self._at_begin = self._database.estimates
        try:
            yield self
        finally:
            self.roll_back()

    def roll_back(self) -> None:
        """Do what a server does when it loses a connection."""
        self._is_cut = True
        if self._has_lock:
            self._has_lock = False
            self._database.lock.release()

    async def fetch_committed_run(self) -> StoredRun | None:
        await self._work(Step.READ_RUN)
        return self._database.find_run(self._uid)

    async def fetch_earlier_sync(self) -> EarlierSync | None:
        """Find the newest one; all are whole, and of the same days and settings."""
        found = next((commit for commit in reversed(self._database.commits) if commit.transferred), None)
        if found is None or found.transferred is None or found.transferred.complete_as_of is None:
            return None
        transferred, age = found.transferred, timedelta(seconds=asyncio.get_running_loop().time() - found.at)
        return EarlierSync(
            uid=found.uid,
            sync_name=found.pod,
            whole_uid=found.uid,
            complete_as_of=found.transferred.complete_as_of,
            highest_id=transferred.highest_id,
            ask_again=transferred.ask_again,
            witnesses=transferred.base.witnesses if transferred.base else tuple(found.after)[:2],
            hidden=transferred.hidden,
            age=age,
            has_same_settings=True,
            whole_age=age,
            no_base_because=transferred.no_base_because,
            other_sync=None,
            crossing_sync=None,
            stored_estimates=len(found.after),
        )

    async def fetch_refused_login(self) -> RefusedLogin | None:
        return self._database.refusal

    async def write_refused_login(self, refusal: RefusedLogin) -> None:
        if not self._is_cut:
            self._database.refusal = refusal
            self._staged.clear()

    async def write_failed_run(self, error: ResultError) -> None:
        """Keep nothing of it: no promise is about failed runs."""

    async def write_rows(self, rows: Rows) -> None:
        """Stage rows; this source shows all that it has, so that its `unshown` is empty."""
        await self._work(Step.STAGE)
        self._staged.extend(row for row in rows if row.attic_tech_estimate_id not in rows.unshown)

    async def count_changes(self, known: int) -> int:
        before, after = set(self._staged[:known]), self._staged[known:]
        if after:
            await self._work(Step.COUNT)
        return len({row.attic_tech_estimate_id for row in after if row not in before})

    async def finish_staging(self, *, hidden: Sequence[str], broken: Sequence[int]) -> Staged:
        """Drop what is staged of estimates whose last version is broken; of no others is anything hidden here."""
        await self._work(Step.FINISH)
        dropped = {*broken} if hidden is not None else set()
        self._staged[:] = [row for row in self._staged if row.attic_tech_estimate_id not in dropped]
        return Staged(estimates=len({row.attic_tech_estimate_id for row in self._staged}))

    async def fetch_absent(self) -> Absent:
        """Nothing: here deletions are not looked for."""
        return Absent(estimates=len(self._database.estimates), ids=())

    async def merge(self, transferred: Transferred) -> StoredRun:
        """Commit, which nothing interrupts; where its outcome is unknown, look for it over a new connection."""
        await self._work(Step.MERGE)
        await self._database.lock.acquire()
        self._has_lock = True
        commit = asyncio.ensure_future(self._commit(transferred))
        try:
            return await asyncio.shield(commit)
        except asyncio.CancelledError:
            return await commit

    async def _commit(self, transferred: Transferred) -> StoredRun:
        run = self._database.find_run(self._uid)
        merged, results = merge_rows(self._database.estimates, self._staged, at_begin=self._at_begin)
        try:
            fault = await self._begin(Step.COMMIT)
            if run is None:
                run = _build_run(transferred, results)
                self._apply(merged, run, transferred)
            self._end(fault)
        except DatabaseUnavailableError as error:
            self.roll_back()
            await self._confirm(error)
            return self._database.find_run(self._uid) or run or _build_run(transferred, results)
        self.roll_back()
        return run

    def _apply(self, merged: dict[int, Row], run: StoredRun, transferred: Transferred) -> None:
        before, self._database.estimates = self._database.estimates, merged
        at = asyncio.get_running_loop().time()
        commit = Commit(
            uid=self._uid, pod=self._pod, before=before, after=merged, run=run, transferred=transferred, at=at
        )
        self._database.commits.append(commit)

    async def _confirm(self, fault: DatabaseUnavailableError) -> None:
        self._is_cut = False
        await self._work(Step.CONFIRM)
        if self._database.find_run(self._uid) is None:
            raise fault

    async def _work(self, step: Step) -> None:
        self._end(await self._begin(step))

    async def _begin(self, step: Step) -> Effect | None:
        """Bring a step to the server, unless it is lost on the way, or refused.

        Raises:
            SyncError: It did not get there, or the server refuses.
        """
        if self._is_cut:
            raise DatabaseUnavailableError("PostgreSQL is not available: the connection is lost.")
        fault = await self._meet(step)
        if fault is Effect.REFUSED:
            self.roll_back()
            raise DatabaseRefusedError("PostgreSQL refuses the sync: the disk is full.")
        if fault is Effect.LOST_REQUEST or self._database.is_away:
            self.roll_back()
            raise DatabaseUnavailableError("PostgreSQL is not available: the request was lost.")
        return fault

    def _end(self, fault: Effect | None) -> None:
        if fault is Effect.KILL_AFTER:
            self._die()
        if fault is Effect.LOST_ANSWER:
            self.roll_back()
            raise DatabaseUnavailableError("PostgreSQL is not available: the answer was lost.")


def merge_rows(
    stored: dict[int, Row], staged: Iterable[Row], *, at_begin: dict[int, Row]
) -> tuple[dict[int, Row], Results]:
    """Merge as `merge_estimates.sql` does: the last version to arrive counts, unless a newer one is stored since."""
    newest = {row.attic_tech_estimate_id: row for row in staged}
    new = newest.keys() - stored.keys()
    changed = {
        number: row
        for number, row in newest.items()
        if number in stored
        and row != stored[number]
        and not (stored[number] is not at_begin.get(number) and _is_older(row, stored[number]))
    }
    merged = stored | {number: newest[number] for number in new} | changed
    updated = len(newest) - len(new)
    results = Results(
        new_estimates=len(new),
        updated_estimates=updated,
        unchanged_estimates=updated - len(changed),
        total_processed=len(newest),
    )
    return merged, results


def _is_older(row: Row, other: Row) -> bool:
    one, another = row.at_updated_date, other.at_updated_date
    return isinstance(one, datetime) and isinstance(another, datetime) and one < another


def _build_run(transferred: Transferred, results: Results) -> StoredRun:
    counted = msgspec.structs.replace(results, total_fetched=transferred.records, skipped_estimates=transferred.skipped)
    return StoredRun(results=counted, complete_as_of=transferred.complete_as_of, skipped_ids=transferred.skipped_ids)

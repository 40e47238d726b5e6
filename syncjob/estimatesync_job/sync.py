"""The sync itself: source and store opened, one transfer from one to the other, one merge at the end.

`main` passes it both; the sync decides the order of the steps and nothing else.
"""

import secrets
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Final

import msgspec
from estimatesync_contract import log_lines
from estimatesync_contract.refused_login import SALT_BYTES, Credentials, RefusedLogin
from estimatesync_contract.spec import Mode
from estimatesync_contract.status import Results
from estimatesync_contract.timestamps import format_timestamp

from estimatesync_job.core.base import find_whole_reason
from estimatesync_job.core.closing_pass import PassPolicy
from estimatesync_job.core.errors import (
    CredentialsRefusedError,
    DatabaseUnavailableError,
    SourceEmptyError,
    SyncError,
    build_failure,
)
from estimatesync_job.core.page_plan import PagePlan
from estimatesync_job.core.ports import EstimateStore, Log, OpenSource, OpenStore, Source, StoredRun, Transferred
from estimatesync_job.core.refused_login import check_refusal
from estimatesync_job.deletions import find_deletions
from estimatesync_job.transfer import Transfer, read_pages


class Sync:
    """One run, from the login to the commit; with `max_deleted_percent` it marks what is gone, up to that share.

    Attributes:
        stored: what this sync has stored; None until that is certain, and never unset.
    """

    def __init__(
        self,
        *,
        open_source: OpenSource,
        open_store: OpenStore,
        log: Log,
        plan: PagePlan,
        passes: PassPolicy,
        max_skipped_percent: int,
        max_unshown_percent: int,
        credentials: Credentials,
        min_estimates: int = 0,
        mode: Mode = Mode.WHOLE,
        max_deleted_percent: int | None = None,
    ) -> None:
        self.stored: StoredRun | None = None
        self._open_source: Final = open_source
        self._open_store: Final = open_store
        self._log: Final = log
        self._plan: Final = plan
        self._passes: Final = passes
        self._max_skipped_percent: Final = max_skipped_percent
        self._max_unshown_percent: Final = max_unshown_percent
        self._min_estimates: Final = min_estimates
        self._max_deleted_percent: Final = max_deleted_percent
        self._credentials: Final = credentials
        self._mode: Final = mode

    async def run(self) -> None:
        """Sync, or find what this sync has stored already; either way `stored` is set as soon as it is known.

        Raises:
            SyncError: Nothing was stored, unless `stored` is set.
        """
        self._log.write("starting", log_lines.STARTING)
        async with self._open_store as store:
            try:
                await self._run(store)
            except Exception as error:
                # A server that lacks disk space may be brought down by one more commit.
                if self.stored is None and not isinstance(error, DatabaseUnavailableError):
                    # Whatever becomes of the record, it must not hide the cause.
                    with suppress(Exception):
                        await store.write_failed_run(build_failure(error).error)
                raise

    async def _run(self, store: EstimateStore) -> None:
        async with self._open_source as source:
            self.stored = await store.fetch_committed_run()
            if self.stored is None:
                # The database knows whether these credentials have been refused: nothing is tried before.
                check_refusal(await store.fetch_refused_login(), self._credentials)
                transferred = await self._transfer(source, store)
                if not transferred.base:
                    self._require_estimates(transferred.records)
                    transferred = await self._find_deletions(source, store, transferred)
                self.stored = await self._merge(store, transferred)
            else:
                self._log.write("already_stored", "🔁 [SYNC] An earlier process of this sync has stored its estimates")
            self._log_finished(self.stored.results)

    async def _transfer(self, source: Source, store: EstimateStore) -> Transferred:
        try:
            clock = await source.login()
            if self._mode is Mode.WHOLE:
                return await self._read_whole(source, store, clock)
            return await self._read_changes(source, store, clock)
        except CredentialsRefusedError as error:
            # A database that cannot take it must not hide the cause.
            with suppress(SyncError):
                await store.write_refused_login(self._build_refusal(error))
            raise

    def _require_estimates(self, found: int) -> None:
        """Take a source that shows next to nothing for what it is: a right that was lost, or another Attic Tech.

        Raises:
            SourceEmptyError: There are fewer than there must be.
        """
        if found < self._min_estimates:
            raise SourceEmptyError(
                f"Attic Tech shows too few estimates: {found} in these days, where there must be at least "
                f"{self._min_estimates}. Nothing was stored; check what the account of ATTIC_TECH_EMAIL may read, and "
                "ATTIC_TECH_URL. If there are so few, lower SYNC_MIN_ESTIMATES."
            )

    async def _find_deletions(self, source: Source, store: EstimateStore, transferred: Transferred) -> Transferred:
        if self._max_deleted_percent is None:
            return transferred
        deletions = await find_deletions(
            source, store, log=self._log, max_percent=self._max_deleted_percent, ends_at=self._passes.ends_at
        )
        return msgspec.structs.replace(transferred, deletions=deletions)

    def _build_refusal(self, error: CredentialsRefusedError) -> RefusedLogin:
        salt = secrets.token_bytes(SALT_BYTES)
        digest = self._credentials.compute_digest(salt)
        return RefusedLogin(salt=salt, digest=digest, refused_at=datetime.now(UTC), said=str(error))

    async def _read_changes(self, source: Source, store: EstimateStore, clock: datetime | None) -> Transferred:
        """Read what has changed since an earlier sync; everything, where there is none or that proves nothing."""
        earlier = await store.fetch_earlier_sync()
        why, contradicted_by = find_whole_reason(earlier, clock=clock), None
        if earlier and clock and not why:
            instant = format_timestamp(earlier.since)
            message = log_lines.format_changes_since(instant, earlier.sync_name)
            self._log.write("changes_since", message, since=instant, base=earlier.sync_name)
            transfer = self._build_transfer(source, store, clock)
            changes = await transfer.read_changes(earlier, clock=clock, limit=self._plan.page_size)
            if isinstance(changes, Transferred):
                return changes
            why, contradicted_by = changes, transfer if transfer.is_clock_contradicted else None
        self._log.write("whole", log_lines.format_whole(why or ""), why=why or "")
        whole = await self._read_whole(source, store, clock, contradicted_by=contradicted_by)
        return msgspec.structs.replace(whole, whole_because=why)

    async def _read_whole(
        self, source: Source, store: EstimateStore, clock: datetime | None, *, contradicted_by: Transfer | None = None
    ) -> Transferred:
        clock = None if contradicted_by else clock
        async with aclosing(read_pages(source, self._plan, clock=clock)) as pages:
            transfer = self._build_transfer(source, store, clock, contradicted_by=contradicted_by)
            return await transfer.run(anext(pages), pages)

    def _build_transfer(
        self, source: Source, store: EstimateStore, clock: datetime | None, *, contradicted_by: Transfer | None = None
    ) -> Transfer:
        return Transfer(
            source,
            store,
            log=self._log,
            passes=self._passes,
            concurrency=self._plan.ahead,
            max_skipped_percent=self._max_skipped_percent,
            max_unshown_percent=self._max_unshown_percent,
            clock=clock,
            contradicted_by=contradicted_by,
        )

    async def _merge(self, store: EstimateStore, transferred: Transferred) -> StoredRun:
        records = transferred.records
        self._log.write("fetch_complete", log_lines.format_fetch_complete(records), fetched=records)
        self._log.write("saving", log_lines.SAVING)
        stored = await store.merge(transferred)
        if transferred.deletions:
            self._log_deletions(stored, absent=transferred.deletions.absent)
        return msgspec.structs.replace(stored, pages=transferred.pages)

    def _log_deletions(self, stored: StoredRun, *, absent: int) -> None:
        """Say what the merge has made of it: it marks nothing that another sync may have seen meanwhile."""
        if why := stored.unmarked_because:
            self._log.write("unmarked", log_lines.format_unmarked(why), level="warning", absent=absent)
        elif deleted := stored.results.deleted_estimates:
            self._log.write("deleted", log_lines.format_deleted(deleted), deleted=deleted)

    def _log_finished(self, results: Results) -> None:
        message = log_lines.format_finished(results.new_estimates, results.updated_estimates)
        self._log.write(
            "finished",
            message,
            new=results.new_estimates,
            updated=results.updated_estimates,
            unchanged=results.unchanged_estimates,
        )

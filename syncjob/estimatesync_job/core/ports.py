"""The seams between the sync and the world: Attic Tech, PostgreSQL and the log."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Literal, Protocol

import msgspec
from estimatesync_contract.refused_login import RefusedLogin
from estimatesync_contract.result import ResultError
from estimatesync_contract.spec import Mode
from estimatesync_contract.status import Results, UnshownFields

from estimatesync_job.core.base import EarlierSync
from estimatesync_job.core.deletions import Absent, Deletions, FoundIds
from estimatesync_job.core.pages import FetchedPage
from estimatesync_job.core.queries import ChangesQuery, IdsQuery, PageQuery
from estimatesync_job.core.rows import Rows
from estimatesync_job.core.unshown import UnshownCounts

Level = Literal["info", "warning", "error"]


class Log(Protocol):
    """Where the sync reports what it does."""

    def write(self, action: str, message: str, *, level: Level = "info", **fields: str | float) -> None:
        """Write one line; `action` names what happened for machines, `fields` are its figures."""
        ...


class Source(Protocol):
    """Attic Tech. Each call retries by itself and raises a SyncError once that does not help."""

    async def login(self) -> datetime | None:
        """Get the token for the other calls; a token that expires later is renewed automatically.

        Returns:
            Attic Tech's clock at that time, before anything was read; None while unknown.
        """
        ...

    async def fetch_page(self, query: PageQuery) -> FetchedPage:
        """Request one page and map its records."""
        ...

    async def fetch_changes(self, query: ChangesQuery) -> FetchedPage:
        """Request what a closing pass asks for, and map its records."""
        ...

    async def fetch_ids(self, query: IdsQuery) -> FoundIds:
        """Request estimates by their ids, whenever they were changed.

        Raises:
            TooManyIdsError: Whole estimates would come; ask for MAX_WHOLE_IDS at most.
        """
        ...


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync has stored.

    Attributes:
        results: its counts.
        pages: of the range, as read; None where another process has read them.
        complete_as_of: by Attic Tech's clock, the instant up to which nothing in the range is missing; None when
            its responses carry no date, or dates that contradict one another.
        unshown: what Attic Tech does not show; None when that is nothing.
        skipped_ids: the records that were left out because they cannot become rows, the first few of them.
        mode: whether all of its days were read, or what had changed.
        whole_because: why all were, where only changes were asked for.
        unmarked_because: why no estimate was marked as deleted, although some were not shown; part of a sentence.
    """

    results: Results
    mode: Mode = Mode.WHOLE
    whole_because: str | None = None
    pages: int | None = None
    complete_as_of: datetime | None = None
    skipped_ids: tuple[str, ...] = ()
    unshown: UnshownFields | None = None
    unmarked_because: str | None = None


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """What has been staged.

    Attributes:
        estimates: distinct ones.
        unshown: what is not shown of them.
        partial: the ids of those that are not shown in full, though others are.
    """

    estimates: int
    unshown: UnshownCounts = UnshownCounts()
    partial: tuple[int, ...] = ()


class Transferred(msgspec.Struct, frozen=True, kw_only=True):
    """What was read and staged.

    Attributes:
        pages: in all.
        records: distinct ones, skipped ones included.
        skipped: how many of them cannot become rows.
        skipped_ids, complete_as_of: as in StoredRun.
        hidden: the columns that no record shows.
        unshown: what is not shown of the others.
        base: the sync of whose days only changes were read; None where everything was.
        whole_because: as in StoredRun.
        highest_id: an id below which none is still to appear; None where none is known.
        ask_again: the ids of estimates that are broken or not shown in full, which the next sync asks for.
        no_base_because: why no later sync may rest on this one; None where one may.
        deletions: what is gone; None where it was not looked for.
    """

    pages: int
    records: int
    skipped: int
    skipped_ids: tuple[str, ...]
    complete_as_of: datetime | None
    hidden: tuple[str, ...] = ()
    unshown: UnshownCounts = UnshownCounts()
    base: EarlierSync | None = None
    whole_because: str | None = None
    highest_id: int | None = None
    ask_again: tuple[int, ...] = ()
    no_base_because: str | None = None
    deletions: Deletions | None = None


class EstimateStore(Protocol):
    """One transaction on the tables, open from the start: nothing is visible before `merge` has returned."""

    @property
    def encoding(self) -> str:
        """The database's, in PostgreSQL's words, such as `UTF8`."""
        ...

    async def fetch_committed_run(self) -> StoredRun | None:
        """Read what this sync has committed, even in an earlier process; None before that."""
        ...

    async def fetch_earlier_sync(self) -> EarlierSync | None:
        """Read the newest sync that this one may rest on, or the one that comes closest; None without any.

        It is looked for only where changes are asked for.
        """
        ...

    async def fetch_refused_login(self) -> RefusedLogin | None:
        """Read the newest refusal of a login by Attic Tech, to any sync."""
        ...

    async def write_refused_login(self, refusal: RefusedLogin) -> None:
        """Record a refusal, and drop all that is staged: the sync has failed."""
        ...

    async def write_failed_run(self, error: ResultError) -> None:
        """Record why the run has failed, and drop all that is staged."""
        ...

    @property
    def staged(self) -> int:
        """How many rows have been staged so far."""
        ...

    async def write_rows(self, rows: Rows) -> None:
        """Stage rows; the same estimate may come more than once, and the last one to come counts."""
        ...

    async def count_changes(self, known: int) -> int:
        """Count the estimates staged after the first `known` rows that were not staged in that form before."""
        ...

    async def finish_staging(self, *, hidden: Sequence[str], broken: Sequence[int]) -> Staged:
        """Drop what is staged of estimates whose last version is broken, and older versions; count what is left.

        Args:
            hidden: the columns that no record shows.
            broken: the ids of the broken ones.
        """
        ...

    async def fetch_absent(self) -> Absent:
        """Read which estimates are stored as of the range and are not staged, after `finish_staging`."""
        ...

    async def merge(self, transferred: Transferred) -> StoredRun:
        """Merge the staged rows into the tables, record the run, and commit; all or nothing."""
        ...


OpenSource = AbstractAsyncContextManager[Source]
"""Opens the session on entering; nothing is sent before the login."""

OpenStore = AbstractAsyncContextManager[EstimateStore]
"""Connects, migrates and begins on entering; rolls back what was not merged on leaving."""

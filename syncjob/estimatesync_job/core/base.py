"""Which earlier sync a sync of changes rests on: its base, or why there is none and everything is read.

The database finds the newest candidate as the transaction begins (`find_base.sql`); here is decided whether it serves,
and what is then asked for. docs/completeness.md holds the argument.
"""

import hashlib
from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Final

import msgspec

from estimatesync_job.core.invalid_records import InvalidRecords
from estimatesync_job.core.queries import OVERLAP, Gap
from estimatesync_job.core.rows import MAPPING_VERSION
from estimatesync_job.core.unshown import Path, format_fields, is_settled

MAX_WHOLE_AGE: Final = timedelta(days=6, hours=12)
"""Half a day less than a week: of syncs that run each night, a little earlier or later, each seventh is a whole one."""

MAX_ASKED_AGAIN: Final = 50
"""Broken estimates that the next sync asks for by their ids. Where there are more, it reads everything."""


class EarlierSync(msgspec.Struct, frozen=True, kw_only=True):
    """A committed sync that covered the days in question, from their start up to its own end.

    Attributes:
        uid, sync_name: its own.
        whole_uid: the whole sync that it rests on, through others or itself.
        complete_as_of: nothing in its range is missing up to then, by Attic Tech's clock.
        highest_id: an id below which none has appeared since; None where none is known.
        ask_again: the ids of the estimates that were broken.
        hidden: the columns that no record showed.
        age: since its commit, by the database's clock.
        has_same_settings: whether it stored by the same rules from the same place.
        whole_age, whole_estimates: of the sync of `whole_uid`, since its commit and in all; None where it is unknown.
        no_base_because: what speaks against it since it ended; None for nothing.
    """

    uid: str
    sync_name: str
    whole_uid: str
    complete_as_of: datetime
    highest_id: int | None
    ask_again: tuple[int, ...]
    hidden: tuple[str, ...]
    age: timedelta
    has_same_settings: bool
    whole_age: timedelta | None
    whole_estimates: int | None
    no_base_because: str | None

    @property
    def since(self) -> datetime:
        """The oldest stamp that an estimate may have if it has changed since, or was beyond the range then."""
        return self.complete_as_of - OVERLAP

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The ids that are asked for whatever their stamps: newer ones, for an import keeps stamps, and broken ones."""
        again = (Gap(below=number + 1, above=number - 1) for number in self.ask_again)
        return (Gap(below=None, above=self.highest_id), *again)


def compute_settings_digest(*, url: str, email: str, selects_fields: bool) -> str:
    """Digest what decides which estimates are shown and what is stored of them; the schema keeps its own syncs."""
    chosen = msgspec.json.encode((MAPPING_VERSION, url, email, selects_fields))
    return hashlib.sha256(chosen).hexdigest()


def find_whole_reason(earlier: EarlierSync | None, *, clock: datetime | None) -> str | None:
    """Find why everything must be read; None where the earlier sync serves as the base.

    Args:
        earlier: what the database has found.
        clock: Attic Tech's, as the login was answered.
    """
    if earlier is None:
        return "no sync of the last two weeks has read these days from the first one on"
    name = f"sync {earlier.sync_name}"
    is_old = earlier.whole_age is None or earlier.whole_age > MAX_WHOLE_AGE
    # Stamps of since then may be older than those that would be asked for.
    is_set_back = clock is not None and clock - earlier.complete_as_of + OVERLAP < earlier.age
    obstacles = (
        (not earlier.has_same_settings, f"since {name}, the settings or the version of this program have changed"),
        (earlier.no_base_because is not None, f"of {name}, {earlier.no_base_because}"),
        (is_old, "the last sync of the whole range is a week old"),
        (clock is None, "Attic Tech does not say what time it is (Date)"),
        (is_set_back, f"since {name}, Attic Tech's clock has been set back"),
    )
    return next((why for is_so, why in obstacles if is_so), None)


def find_base_obstacle(
    *,
    complete_as_of: datetime | None,
    is_clock_contradicted: bool,
    is_numbered: bool,
    has_old_id: bool,
    invalid: InvalidRecords,
) -> str | None:
    """Find why no later sync may rest on one that ends now; None where one may. It completes `of sync NAME, …`."""
    if complete_as_of is None:
        return "it is not known up to when it is complete"
    if is_clock_contradicted:
        return "stamps or responses contradicted Attic Tech's clock"
    if not is_numbered:
        return "the ids were no numbers"
    if not has_old_id:
        return "no estimate is known to have been created more than five minutes before"
    if len(invalid.numbers) < invalid.count or invalid.count > MAX_ASKED_AGAIN:
        return f"{invalid.count} broken estimates would have to be asked for again"
    return None


def find_doubt(
    earlier: EarlierSync, *, hidden: Collection[str], lost: Collection[str], evidence: AbstractSet[Path]
) -> str | None:
    """Find why few records leave open what Attic Tech shows; None where they do not.

    Args:
        earlier: the base.
        hidden: the columns that none of the records shows.
        lost: those of which a stored value would be lost if they were none.
        evidence: what the records show.
    """
    doubtful = {column for column in hidden if column in lost and column not in earlier.hidden}
    shown = {column for column in earlier.hidden if is_settled(column, evidence)}
    if doubtful or shown:
        return f"few records do not tell whether Attic Tech shows {format_fields(doubtful | shown)}"
    return None


def find_highest_old_id(ids: Iterable[tuple[int, datetime | None]], *, clock: datetime | None) -> int | None:
    """Find the first of some descending ids whose estimate was created so long ago that no lower id is still to come.

    Ids are given in order, but become visible in the order of commits.
    """
    if clock is None:
        return None
    return next((number for number, created in ids if created and created < clock - OVERLAP), None)

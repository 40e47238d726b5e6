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

MAX_PARTIAL: Final = 26
"""Estimates not shown in full that the next sync asks for, too: with the others, in two requests."""

MAX_WITNESSES: Final = 8
"""Estimates that a pass of changes must show, by their ids: one for each of so many branches."""


class EarlierSync(msgspec.Struct, frozen=True, kw_only=True):
    """A committed sync that covered the days in question, from their start up to its own end.

    Attributes:
        uid, sync_name: its own.
        whole_uid: the whole sync that it rests on, through others or itself.
        complete_as_of: nothing in its range is missing up to then, by Attic Tech's clock.
        highest_id: an id below which none has appeared since; None where none is known.
        ask_again: the ids of the estimates that were broken, or not shown in full.
        witnesses: ids of estimates that were read, and that an account that still sees all goes on to see.
        hidden: the columns that no record showed.
        age: since its commit, by the database's clock.
        has_same_settings: whether it stored by the same rules from the same place.
        whole_age: of the sync of `whole_uid`, since its commit; None where it is unknown.
        no_base_because: what speaks against it since it ended; None for nothing.
        other_sync: one that has stored by other rules or from another place since then; None without any.
        crossing_sync: one that was at work while another stored its estimates, since then; None without any.
        stored_estimates: how many are stored as of the days in question.
    """

    uid: str
    sync_name: str
    whole_uid: str
    complete_as_of: datetime
    highest_id: int | None
    ask_again: tuple[int, ...]
    witnesses: tuple[int, ...]
    hidden: tuple[str, ...]
    age: timedelta
    has_same_settings: bool
    whole_age: timedelta | None
    no_base_because: str | None
    other_sync: str | None
    crossing_sync: str | None
    stored_estimates: int

    @property
    def since(self) -> datetime:
        """The oldest stamp that an estimate may have if it has changed since, or was beyond the range then."""
        return self.complete_as_of - OVERLAP

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The ids that are asked for whatever their stamps: newer ones, for an import keeps stamps, and chosen ones."""
        again = (Gap(below=number + 1, above=number - 1) for number in (*self.witnesses, *self.ask_again))
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
        (
            earlier.other_sync is not None,
            f"sync {earlier.other_sync} has stored with other settings or another version since the last whole one",
        ),
        (
            earlier.crossing_sync is not None,
            f"sync {earlier.crossing_sync} was at work while another one stored its estimates",
        ),
        (not earlier.witnesses, f"of {name}, no estimate is known that must be among those of these days"),
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
    earlier: EarlierSync,
    *,
    hidden: Collection[str],
    evidence: AbstractSet[Path],
    partial: frozenset[int],
    complete: frozenset[int],
) -> str | None:
    """Find why few records leave open what Attic Tech shows; None where they do not.

    Args:
        earlier: the base.
        hidden: the columns that none of the records shows.
        evidence: what the records show.
        partial: the ids of those that are not shown in full.
        complete: the ids of those that are.
    """
    doubtful = {column for column in hidden if column not in earlier.hidden}
    shown = {column for column in earlier.hidden if is_settled(column, evidence)}
    if doubtful or shown:
        return f"few records do not tell whether Attic Tech shows {format_fields(doubtful | shown)}"
    if lost := partial.intersection(earlier.witnesses):
        return f"Attic Tech no longer shows estimate {min(lost)} in full"
    # There may be more of which something was not shown than are asked for.
    regained = complete.intersection(earlier.ask_again) if len(earlier.ask_again) >= MAX_PARTIAL else ()
    if regained:
        return f"Attic Tech shows estimate {min(regained)} in full again"
    return None


def find_highest_old_id(
    ids: Iterable[tuple[int, datetime | None]], *, clock: datetime | None, since: datetime | None = None
) -> int | None:
    """Find the first of some descending ids whose estimate was created so long ago that no lower id is still to come.

    Ids are given in order, but become visible in the order of commits. What was created before `since` and is new all
    the same comes from an import, which may be at work: the date of its creation says nothing about its id.
    """
    if clock is None:
        return None
    return next(
        (
            number
            for number, created in ids
            if created and created < clock - OVERLAP and (not since or created >= since)
        ),
        None,
    )

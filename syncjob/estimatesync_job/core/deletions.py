"""Which stored estimates are gone from Attic Tech, and when an answer is believed that does not show them.

What is stored as of the range and was not read has been deleted, or edited out of the range, or is hidden for now. Each
is asked for by its id, without days, next to some that have just been read: whatever an answer does not show is gone
only if it shows these. docs/completeness.md holds the argument; `deletions` does the asking.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

IDS_PER_QUERY: Final = 100
"""In some 2 KB of a query string, and a few KB of an answer: of each estimate, only the id is asked for."""

MAX_WHOLE_IDS: Final = 10
"""In a question to a server that shows whole estimates only, two witnesses included: each may be a megabyte."""

WITNESSES: Final = 9
"""Estimates that have just been read, from the highest id to the lowest: each question names two others of them."""

MAX_MARKED: Final = 300
"""Of the marked estimates, those that were marked last: each sync asks whether one of them is there all the same."""

MAX_VAIN: Final = 3
"""Answers in a row that say nothing, as while estimates are deleted that were to be seen."""

CROSSED: Final = "another sync of whole days was stored while this one was at work, and may have seen them"


class AbsenceDoubtedError(Exception):
    """What is not shown may be there all the same; the message says why, as part of a sentence."""


class TooManyIdsError(Exception):
    """Attic Tech shows whole estimates only, so that it is asked for no more than MAX_WHOLE_IDS at once."""


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """What the database has of the range.

    Attributes:
        estimates: all that count as living.
        ids: those of them that were not read.
        witnesses: ids of some that were, the highest and the lowest among them.
        marked: ids of some that were not read and are marked as deleted, whatever their days.
    """

    estimates: int
    ids: tuple[int, ...]
    witnesses: tuple[int, ...] = ()
    marked: tuple[int, ...] = ()


class Deletions(msgspec.Struct, frozen=True, kw_only=True):
    """What to mark as deleted, and what no longer.

    Attributes:
        absent: how many estimates that count as living were not read.
        ids: those of them that are gone.
        shown: those that are marked, and there all the same.
        unmarked_because: why none is marked, although some were not shown; part of a sentence.
    """

    absent: int = 0
    ids: tuple[int, ...] = ()
    shown: tuple[int, ...] = ()
    unmarked_because: str | None = None


class FoundIds(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer shows: these estimates, and whether it is all that it has to show."""

    ids: frozenset[int]
    is_whole: bool


def plan_batches(ids: Sequence[int], *, size: int = IDS_PER_QUERY) -> Iterator[tuple[int, ...]]:
    """Split what is to be asked for into questions."""
    for number in range(0, len(ids), size):
        yield tuple(ids[number : number + size])


def choose_witnesses(absent: Absent, attempt: int) -> tuple[int, ...]:
    """Choose two estimates that the answer to a question must show; where only one was read, that one.

    Raises:
        AbsenceDoubtedError: There are none.
    """
    if not absent.witnesses:
        raise AbsenceDoubtedError("Attic Tech shows no estimate of these days at all")
    pair = attempt % max(len(absent.witnesses) // 2, 1)
    return tuple(dict.fromkeys((absent.witnesses[pair], absent.witnesses[-1 - pair])))


def plan_question(ids: Iterable[int], witnesses: tuple[int, ...]) -> tuple[int, ...]:
    """Put what is asked for between the witnesses, and never at the end, where a list that is cut short is cut."""
    *before, last = witnesses
    return (*before, *sorted(ids, reverse=True), last)


def check_found(found: FoundIds, *, asked: Iterable[int]) -> None:
    """Make sure that a server keeps to the ids that it is asked for.

    Raises:
        AbsenceDoubtedError: It shows others.
    """
    if not found.ids.issubset(asked):
        raise AbsenceDoubtedError("Attic Tech does not keep to the ids that it is asked for (where[id][in])")


def check_bound(gone: int, absent: Absent, *, max_percent: int) -> None:
    """Refuse to believe that too many are gone; that a single one is, can always be.

    Raises:
        AbsenceDoubtedError: There are too many.
    """
    if gone > 1 and gone * 100 > absent.estimates * max_percent:
        raise AbsenceDoubtedError(
            f"at least {gone} of {absent.estimates} stored estimates are not shown any more, and "
            f"SYNC_MAX_DELETED_PERCENT allows {max_percent} %. Check what the account of ATTIC_TECH_EMAIL may read; if "
            "they are deleted, raise it for one sync"
        )

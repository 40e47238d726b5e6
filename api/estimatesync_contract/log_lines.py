"""The log lines of a sync, word for word as the people who read them know them, and the progress read back from them.

The sync program prints these lines; the reconciler and the API read them back, because a sync pod has no access to
the Kubernetes API. Page lines `complete` appear in page order, whatever order the pages arrived in.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from estimatesync_contract.specific_causes import SpecificCause, find_specific_cause
from estimatesync_contract.status import Progress, build_progress

STARTING: Final = "🔍 [SYNC] Starting estimate fetch process"
LOGGING_IN: Final = "🔑 [SYNC] Logging in to Attic Tech..."
LOGGED_IN: Final = "✅ [SYNC] Successfully logged in to Attic Tech"
ASKING_FOR_CHANGES: Final = "🔍 [SYNC] Asking what has changed meanwhile..."
SAVING: Final = "💾 Saving estimates to the database..."

# All are matched from the beginning: a record whose text quotes such a line is no such line.
_FETCHING: Final = re.compile(r"🔍 \[SYNC\] Fetching page (\d+)\.\.\.")
_RECEIVED: Final = re.compile(r"🔍 \[SYNC\] Response received for page (\d+) ")
_PAGE_OF: Final = re.compile(r"🔍 \[SYNC\] Page (\d+)/(\d+): \d+ estimates")
_PAGE_COMPLETE: Final = re.compile(r"✅ \[SYNC\] Page (\d+) complete\. Total so far: (\d+)")
_ANSWERED: Final = re.compile(r"✅ \[SYNC\] .{1,80}? succeeded at attempt \d+: Attic Tech answers again")
_RETRY: Final = re.compile(
    r"⏳ \[SYNC\] .{1,80}? failed \((?P<happened>.*)\)\. Attempt (?P<attempt>\d+) of (?P<attempts>\d+) in [\d.]+ s, "
    r"at (?P<at>\d\d:\d\d:\d\d) UTC(?: \[(?P<code>\w+)\])?"
)
_UNMARKED: Final = "⚠️ [SYNC] No estimate is marked as deleted: "
_NOBODY_WAITS: Final = (LOGGED_IN, SAVING, _UNMARKED)
"""What is printed once there is an answer, or nothing left to ask."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Attic Tech does not give what it was asked for, and is asked again.

    Attributes:
        at: the time of the next attempt, as it was printed.
        cause: None where only another version knows it.
    """

    happened: str
    attempt: int
    attempts: int
    at: str
    cause: SpecificCause | None = None


def format_fetching(page: int) -> str:
    """A page has been asked for."""
    return f"🔍 [SYNC] Fetching page {page}..."


def format_received(page: int, size_bytes: int) -> str:
    """A page has arrived; the size is in units of 1,024 bytes, rounded."""
    return f"🔍 [SYNC] Response received for page {page} ({round(size_bytes / 1024)}KB)"


def format_page(page: int, total_pages: int, records: int) -> str:
    """What the page holds."""
    return f"🔍 [SYNC] Page {page}/{total_pages}: {records} estimates"


def format_last_page(records: int, page_size: int) -> str:
    """The page was not full, so none comes after it."""
    return f"🏁 [SYNC] Last page reached ({records} < {page_size})"


def format_page_complete(page: int, total_so_far: int) -> str:
    """The page is on its way into the database."""
    return f"✅ [SYNC] Page {page} complete. Total so far: {total_so_far}"


def format_changes(news: int) -> str:
    """Estimates that a closing pass found new or in a newer version."""
    return f"🔁 [SYNC] Changed or appeared meanwhile: {news} estimates"


def format_changes_since(instant: str, sync: str) -> str:
    """Only what has changed is asked for, on top of what an earlier sync has stored."""
    return f"🔍 [SYNC] Asking only for what has changed since {instant}, on top of sync {sync}"


def format_whole(why: str) -> str:
    """Changes were asked for, and the whole range is read."""
    return f"🔍 [SYNC] Asking for the whole range: {why}"


def format_skipped(name: str, problem: str, place: str) -> str:
    """A record that cannot become a row is left out."""
    return f"⚠️ [SYNC] Estimate {name} is skipped: {problem} ({place})"


def format_skipped_total(skipped: int, records: int, names: str) -> str:
    """How many are left out, and the first of them."""
    return f"⚠️ [SYNC] Skipped: {skipped} of {records} estimates, to be corrected in Attic Tech: {names}"


def format_only_id(fields: str, name: str) -> str:
    """The first estimate of which these are not shown; others follow without a word, and the result counts them."""
    return f"⚠️ [SYNC] Attic Tech shows only an id of {fields} (first of estimate {name}); what is stored is kept"


def format_unshown(count: int, estimates: int, fields: str) -> str:
    """What Attic Tech shows of no estimate; the tables keep what they have of it."""
    return f"⚠️ [SYNC] Not shown by Attic Tech, so kept as it is stored: {fields} ({count} of {estimates} estimates)"


def format_asking_for_absent(absent: int) -> str:
    """What is stored and was not listed is asked for by its ids."""
    return f"🔍 [SYNC] Asking for {absent} stored estimates that were not listed..."


def format_deleted(deleted: int) -> str:
    """They were not there when they were asked for by their ids."""
    return f"🗑️ [SYNC] No longer at Attic Tech: {deleted} estimates, now marked as deleted"


def format_unmarked(why: str) -> str:
    """Estimates are not shown, and may be there all the same."""
    return f"{_UNMARKED}{why}"


def format_complete_as_of(instant: str) -> str:
    """The closing pass has proved it: by Attic Tech's clock nothing up to this instant is missing."""
    return f"🔒 [SYNC] Nothing is missing up to {instant}, by the clock of Attic Tech"


def format_fetch_complete(total: int) -> str:
    """All pages are there."""
    return f"🎉 [SYNC] Fetch complete! Total: {total} estimates"


def format_finished(new: int, updated: int) -> str:
    """The transaction has been committed. Also the message of a foreground answer."""
    return f"✅ Background synchronization finished. New: {new}, Updated: {updated}."


def format_failure(message: str) -> str:
    """The sync failed and the tables are as they were."""
    return f"❌ [SYNC] {message}"


def format_retry(
    what: str,
    happened: str,
    *,
    attempt: int,
    attempts: int,
    seconds: float,
    at: datetime,
    cause: SpecificCause | None,
) -> str:
    """A request has failed, and is sent again; `at` is in UTC: who reads the line later cannot count from it."""
    code = f" [{cause.code}]" if cause else ""
    next_attempt = f"Attempt {attempt} of {attempts} in {seconds:.1f} s, at {at:%H:%M:%S} UTC"
    return f"⏳ [SYNC] {what} failed ({happened}). {next_attempt}{code}"


def format_answered_again(what: str, *, attempt: int) -> str:
    """A request that had failed has succeeded."""
    return f"✅ [SYNC] {what} succeeded at attempt {attempt}: Attic Tech answers again"


def parse_trouble(lines: Iterable[str]) -> Trouble | None:
    """Read from the (tail of the) log whether Attic Tech is waited for; None once it has answered again.

    A page that was asked for before says nothing: it may have been on its way.
    """
    trouble, asked = None, set[str]()
    for line in map(_read_message, lines):
        if match := _RETRY.match(line):
            trouble = Trouble(
                happened=match["happened"],
                attempt=int(match["attempt"]),
                attempts=int(match["attempts"]),
                at=match["at"],
                cause=find_specific_cause(match["code"]),
            )
            asked.clear()
        elif match := _FETCHING.match(line):
            asked.add(match[1])
        elif match := _RECEIVED.match(line):
            trouble = None if match[1] in asked else trouble
        elif _ANSWERED.match(line) or line.startswith(_NOBODY_WAITS):
            trouble = None
    return trouble


class _JsonLine(msgspec.Struct, frozen=True):
    message: str


def _read_message(line: str) -> str:
    """Take the sentence out of a line of either format."""
    if '"message":' not in line:
        return line
    try:
        return msgspec.json.decode(line, type=_JsonLine).message
    except (msgspec.DecodeError, RecursionError):
        return line


def parse_progress(lines: Iterable[str]) -> Progress | None:
    """Read the progress back from the (tail of the) log, in either log format; None before the first page."""
    total_pages = page = fetched = 0
    for line in map(_read_message, lines):
        if match := _PAGE_OF.match(line):
            total_pages = int(match[2])
        elif match := _PAGE_COMPLETE.match(line):
            page, fetched = int(match[1]), int(match[2])
    return build_progress(page=page, total_pages=total_pages, fetched=fetched) if total_pages or page else None

"""The log lines of a sync, word for word as the people who read them know them, and the progress read back from them.

The sync program prints these lines; the reconciler and the API read them back, because a sync pod has no access to
the Kubernetes API. Page lines `complete` appear in page order, whatever order the pages arrived in.
"""

import re
from collections.abc import Iterable
from typing import Final

from estimatesync_contract.status import Progress, build_progress

STARTING: Final = "🔍 [SYNC] Starting estimate fetch process"
LOGGING_IN: Final = "🔑 [SYNC] Logging in to Attic Tech..."
LOGGED_IN: Final = "✅ [SYNC] Successfully logged in to Attic Tech"
ASKING_FOR_CHANGES: Final = "🔍 [SYNC] Asking what has changed meanwhile..."
SAVING: Final = "💾 Saving estimates to the database..."

_PAGE_OF: Final = re.compile(r"\[SYNC\] Page (\d+)/(\d+): \d+ estimates")
_PAGE_COMPLETE: Final = re.compile(r"\[SYNC\] Page (\d+) complete\. Total so far: (\d+)")


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
    return f"⚠️ [SYNC] No estimate is marked as deleted: {why}"


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


def parse_progress(lines: Iterable[str]) -> Progress | None:
    """Read the progress back from the (tail of the) log, in either log format; None before the first page."""
    total_pages = page = fetched = 0
    for line in lines:
        if match := _PAGE_OF.search(line):
            total_pages = int(match[2])
        elif match := _PAGE_COMPLETE.search(line):
            page, fetched = int(match[1]), int(match[2])
    return build_progress(page=page, total_pages=total_pages, fetched=fetched) if total_pages or page else None

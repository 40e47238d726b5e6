"""The people of the first backend search their logs for these very lines."""

from estimatesync_contract import log_lines
from estimatesync_contract.status import build_progress

SEED_LOG = """\
🔍 [SYNC] Starting estimate fetch process
🔍 [SYNC] Fetching page 1...
🔍 [SYNC] Response received for page 1 (45KB)
🔍 [SYNC] Page 1/17: 100 estimates
✅ [SYNC] Page 1 complete. Total so far: 100
🔍 [SYNC] Fetching page 17...
🔍 [SYNC] Response received for page 17 (12KB)
🔍 [SYNC] Page 17/17: 9 estimates
🏁 [SYNC] Last page reached (9 < 100)
✅ [SYNC] Page 17 complete. Total so far: 1609
🎉 [SYNC] Fetch complete! Total: 1609 estimates
💾 Saving estimates to the database...
✅ Background synchronization finished. New: 45, Updated: 1564.
"""


def test_our_lines_are_the_seeds_word_for_word() -> None:
    ours = [
        log_lines.STARTING,
        log_lines.format_fetching(1),
        log_lines.format_received(1, 45 * 1024),
        log_lines.format_page(1, 17, 100),
        log_lines.format_page_complete(1, 100),
        log_lines.format_fetching(17),
        log_lines.format_received(17, 12 * 1024),
        log_lines.format_page(17, 17, 9),
        log_lines.format_last_page(9, 100),
        log_lines.format_page_complete(17, 1609),
        log_lines.format_fetch_complete(1609),
        log_lines.SAVING,
        log_lines.format_finished(45, 1564),
    ]

    assert ours == SEED_LOG.splitlines()


def test_progress_is_read_back_from_the_seeds_own_log() -> None:
    lines = SEED_LOG.splitlines()

    assert log_lines.parse_progress(lines[:1]) is None
    assert log_lines.parse_progress(lines[:5]) == build_progress(page=1, total_pages=17, fetched=100)
    assert log_lines.parse_progress(lines) == build_progress(page=17, total_pages=17, fetched=1609)


def test_progress_is_read_from_a_json_log_too() -> None:
    lines = [f'{{"message": "{line}"}}' for line in SEED_LOG.splitlines()[:5]]

    assert log_lines.parse_progress(lines) == build_progress(page=1, total_pages=17, fetched=100)

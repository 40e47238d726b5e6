"""What the emails say: word for word as the people of the first backend know them, and the sync's id below.

Both are in English, like the product's log; for another language, the modules are edited after the import.
"""

from typing import Final

SUCCESS_SUBJECT: Final = "✅ Sync Estimates Completed - {results.total_processed} estimates"
SUCCESS_LINES: Final = (
    "The sync has completed successfully!",
    "",
    "📊 Results:",
    "- Total fetched from Attic Tech: {results.total_fetched}",
    "- New estimates: {results.new_estimates}",
    "- Updated estimates: {results.updated_estimates}",
    "",
    "📅 Date Range:",
    "- Start: {date_range.start_date}",
    "- End: {date_range.end_date}",
    "",
    "⏱️ Performance:",
    "- Duration: {performance.duration_minutes} minutes",
    "",
    "🔖 Sync: {sync_id}",
)

ERROR_SUBJECT: Final = "❌ Sync Estimates Failed"
ERROR_LINES: Final = (
    "The sync has failed with the following error:",
    "",
    "❌ Error: {error}",
    "",
    "📅 Date Range:",
    "- Start: {date_range.start_date}",
    "- End: {date_range.end_date}",
    "",
    "⏱️ Duration: {performance.duration_minutes} minutes",
    "",
    "Please check the server logs for more details.",
    "",
    "🔖 Sync: {sync_id}",
)

_FIELDS: Final = (
    *("results.total_processed", "results.total_fetched", "results.new_estimates", "results.updated_estimates"),
    *("date_range.start_date", "date_range.end_date", "performance.duration_minutes", "sync_id"),
)
_FREE_TEXT: Final = "error"
"""The one field that quotes others: it is escaped, for the mail is HTML."""


def build_text(line: str, *, body: int) -> str:
    """Point the fields of a line at the module that holds the callback's body."""
    for name in _FIELDS:
        line = line.replace(f"{{{name}}}", f"{{{{{body}.{name}}}}}")
    return line.replace(f"{{{_FREE_TEXT}}}", f"{{{{escapeHTML({body}.{_FREE_TEXT})}}}}")


def build_html(lines: tuple[str, ...], *, body: int) -> str:
    """Build the content of a mail: Gmail's module takes HTML, in which a line ends with `<br>`."""
    return "<br>\n".join(build_text(line, body=body) for line in lines)

"""Instants as Payload writes and reads them, used wherever a record's dates are built, compared or sorted."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=200_000)
def parse_instant(text: str) -> datetime:
    """Read an ISO date or date-time as JavaScript's `Date` does; a bare date is midnight UTC, no offset means UTC.

    The cache pays because every listing compares and sorts the same stored texts again.

    Raises:
        ValueError: when the text is not an ISO date.
    """
    instant = datetime.fromisoformat(text)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def format_timestamp(instant: datetime) -> str:
    """Write an instant as Payload does: UTC, milliseconds, `Z`; finer digits are cut."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""How an instant is written wherever JavaScript may read it: answers, callbacks, and queries to Attic Tech."""

from datetime import UTC, datetime


def represent_instant(instant: datetime) -> str:
    """Write an aware instant as JavaScript's toISOString does: `2025-10-16T14:09:00.000Z`."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""The real clock."""

from datetime import UTC, datetime


class SystemClock:
    """The reconciler's Clock."""

    def now(self) -> datetime:
        """See Clock."""
        return datetime.now(UTC)

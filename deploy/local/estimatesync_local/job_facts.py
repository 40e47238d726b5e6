"""What is known of a job and its runs: plain values, read from the job's directory, that every decision starts from.

Nothing here is concluded; `job_decisions.py` does that, and `job_directory.py` reads and writes them.
"""

from datetime import datetime, timedelta

import msgspec


class JobRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job as it was asked for; written once. The environment holds no secret, because this is kept on disk."""

    sync_name: str
    sync_uid: str
    created_at: datetime
    timeout_seconds: int
    max_retries: int
    environment: dict[str, str]


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the sync program, as its directory shows it. Times are aware."""

    number: int
    prepared_at: datetime
    started_at: datetime | None = None
    """None while the program has not begun."""
    is_alive: bool = False
    is_interrupted: bool = False
    """The server was stopped while it ran: not the run's own failure."""
    exit_code: int | None = None
    """None while it runs, and for a run whose end nobody saw."""
    finished_at: datetime | None = None
    termination_message: str = ""


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A job and its runs, the oldest first."""

    record: JobRecord
    runs: tuple[RunFacts, ...] = ()
    is_removed: bool = False
    deadline_hit_at: datetime | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long a job waits between two runs: as a Kubernetes Job does, 10 s doubling to 6 min."""

    first_delay: timedelta = timedelta(seconds=10)
    longest_delay: timedelta = timedelta(minutes=6)

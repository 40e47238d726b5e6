"""What Payload's estimates were at any instant: every version, kept by triggers in its own database (history.sql).

Only for Payload 3: Payload 2 keeps relations in a table of their own.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from threading import Event
from typing import Any, Final

import psycopg

END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)
_WATCH_SECONDS: Final = 0.02
_NOTE_SEEN: Final = "UPDATE history.version SET seen_at = clock_timestamp() WHERE seen_at IS NULL"


@dataclass(frozen=True, kw_only=True)
class EstimateVersion:
    """One version of an estimate. When exactly a commit becomes visible, nobody can tell, so that neighbours overlap.

    Attributes:
        document: the row of Payload's table by its columns; None for none: it does not exist.
        since: the first instant at which it may have been visible.
        until: the last one, when the next version was seen; the end of time while there is no next one.
    """

    document: Mapping[str, Any] | None
    since: datetime
    until: datetime

    def may_show_at(self, instant: datetime) -> bool:
        """Whether a statement that ran then may have read this version."""
        return self.since <= instant < self.until


History = Mapping[int, Sequence[EstimateVersion]]
"""The versions of each estimate that has ever existed, oldest first."""


@contextmanager
def kept_history(database_url: str) -> Iterator[None]:
    """Keep every version for the time of the context; the tables must exist."""
    statements = files(__package__).joinpath("history.sql").read_bytes()
    stopping = Event()
    with psycopg.connect(database_url, autocommit=True) as connection, ThreadPoolExecutor(1) as pool:
        connection.execute(statements)
        watching = pool.submit(_watch, connection, stopping)
        try:
            yield
        finally:
            stopping.set()
            watching.result()


def _watch(connection: psycopg.Connection[Any], stopping: Event) -> None:
    while not stopping.wait(_WATCH_SECONDS):
        connection.execute(_NOTE_SEEN)


def read_history(database_url: str) -> History:
    """Read every version so far."""
    found: dict[int, list[tuple[Mapping[str, Any] | None, datetime, datetime]]] = defaultdict(list)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_NOTE_SEEN)
        statement = "SELECT estimate_id, document, committed_at, seen_at FROM history.version ORDER BY number"
        for identity, *version in connection.execute(statement):
            found[identity].append((version[0], version[1], version[2] or datetime.now(UTC)))
    return {identity: _link_versions(versions) for identity, versions in found.items()}


def _link_versions(versions: Sequence[tuple[Mapping[str, Any] | None, datetime, datetime]]) -> list[EstimateVersion]:
    ends = [seen_at for _, _, seen_at in versions[1:]] + [END_OF_TIME]
    return [
        EstimateVersion(document=document, since=since, until=until)
        for (document, since, _), until in zip(versions, ends, strict=True)
    ]

"""What Payload's estimates were at any instant: every version, kept by triggers in its own database (history.sql).

Only for Payload 3: Payload 2 keeps relations in a table of their own.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import psycopg

END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class EstimateVersion:
    """One version of an estimate.

    Attributes:
        document: the row of Payload's table by its columns; None for none: it does not exist.
        since, until: when it became visible, and when the next one did; the end of time while there is no next one.
    """

    document: Mapping[str, Any] | None
    since: datetime
    until: datetime


History = Mapping[int, Sequence[EstimateVersion]]
"""The versions of each estimate that has ever existed, oldest first."""


def start_history(database_url: str) -> None:
    """Keep every version from now on; the tables must exist."""
    statements = files(__package__).joinpath("history.sql").read_bytes()
    with psycopg.connect(database_url) as connection:
        connection.execute(statements)


def read_history(database_url: str) -> History:
    """Read every version so far."""
    found: dict[int, list[tuple[Mapping[str, Any] | None, datetime]]] = defaultdict(list)
    with psycopg.connect(database_url) as connection:
        statement = "SELECT estimate_id, document, committed_at FROM history.version ORDER BY number"
        for identity, document, committed_at in connection.execute(statement):
            found[identity].append((document, committed_at))
    return {identity: _link_versions(versions) for identity, versions in found.items()}


def _link_versions(versions: Sequence[tuple[Mapping[str, Any] | None, datetime]]) -> list[EstimateVersion]:
    ends = [since for _, since in versions[1:]] + [END_OF_TIME]
    return [
        EstimateVersion(document=document, since=since, until=until)
        for (document, since), until in zip(versions, ends, strict=True)
    ]

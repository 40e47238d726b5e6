"""Who competes: how each is started, and where its rows are found afterwards."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final
from uuid import uuid4

from estimatesync_contract.spec import DEFAULT_CONCURRENCY

_HERE: Final = Path(__file__).parent
OUR_PYTHON: Final = _HERE.parents[1] / ".venv-sync" / "bin" / "python"
PEER_PYTHON: Final = _HERE.parents[1] / ".venv-bench" / "bin" / "python"

OURS: Final = "EstimateSync"
LIMIT: Final = "limit"
PEER: Final = "dlt"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One program with its settings.

    Attributes:
        words: the settings, for the report.
    """

    name: str
    command: tuple[str, ...]
    table: str
    settings: Mapping[str, str] = field(default_factory=dict)
    words: str = ""


def build_ours(*, page_size: int | None = None, concurrency: int = DEFAULT_CONCURRENCY) -> Contender:
    """The sync program; with its defaults unless given others."""
    chosen = {} if page_size is None else {"SYNC_PAGE_SIZE": str(page_size)}
    return Contender(
        name=OURS,
        command=(str(OUR_PYTHON), "-m", "estimatesync_job"),
        table="botzilla.estimate",
        settings={**chosen, "SYNC_CONCURRENCY": str(concurrency)},
        words=f"{f'pages of {page_size}' if page_size else 'its own page sizes'}, at most {concurrency} at once",
    )


def build_limit(*, connections: int, page_size: int) -> Contender:
    """The limit, on the pages that suit it best."""
    return Contender(
        name=LIMIT,
        command=(sys.executable, str(_HERE / "limit.py"), str(connections)),
        table="estimate_limit",
        settings={"SYNC_PAGE_SIZE": str(page_size)},
        words=f"pages of {page_size}, {connections} connections",
    )


def build_peer(*, page_size: int, workers: int = 16) -> Contender:
    """The peer, on the pages that suit it best."""
    return Contender(
        name=PEER,
        command=(str(PEER_PYTHON), str(_HERE / "dlt_peer.py")),
        table="dlt.estimate",
        settings={"SYNC_PAGE_SIZE": str(page_size), "EXTRACT__WORKERS": str(workers)},
        words=f"pages of {page_size}, {workers} workers",
    )


def build_environment(
    contender: Contender, *, source_url: str, authority: Path, database_url: str, days: tuple[date, date]
) -> dict[str, str]:
    """Build the whole environment of one run: the sync program's own variables, which the others read, too."""
    first, last = days
    return {
        "PATH": "/usr/bin:/bin",
        "SSL_CERT_FILE": str(authority),
        "REQUESTS_CA_BUNDLE": str(authority),
        "SYNC_ID": "benchmark",
        "SYNC_UID": str(uuid4()),
        "SYNC_START_DATE": first.isoformat(),
        "SYNC_END_DATE": last.isoformat(),
        "ATTIC_TECH_URL": source_url,
        "ATTIC_TECH_EMAIL": "sync@attic-tech.example",
        "ATTIC_TECH_PASSWORD": "made-up-password",
        "DATABASE_URL": database_url,
        "TERMINATION_MESSAGE_PATH": "result",
    } | dict(contender.settings)

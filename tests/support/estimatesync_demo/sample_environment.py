"""Everything around the product: a sample Attic Tech with its past, a PostgreSQL that knows it, a webhook.

And what there is to find in the end: how many estimates, and how many of them are new.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import psycopg
from estimatesync_contract import job_environment as env
from estimatesync_contract.spec import compute_default_range
from sample_attic_tech import Record, RunningSample, SampleConfig, build_older_version, build_records, running_sample
from sample_attic_tech.receiver import Receiver, running_receiver

from estimatesync_demo.console import print_fact

TOTAL: Final = 1609
KNOWN: Final = 1564
NEW: Final = TOTAL - KNOWN
API_KEY: Final = "demo-key-0123456789abcdef"
PAGE_DELAY_SECONDS: Final = 0.6
PAST: Final = (
    f"The database knows older versions of {KNOWN} estimates; Attic Tech has changed each of them and has {NEW} more"
)
_SEED: Final = 7
_SPAN: Final = timedelta(days=44)
"""One day inside the default range, so that a demo across midnight loses no estimate."""

_PRELOAD_SECONDS: Final = 120
_COUNT_ROWS: Final = """
    SELECT
        count(*),
        count(*) FILTER (WHERE first_sync_uid = %(uid)s),
        count(*) FILTER (WHERE first_sync_uid <> %(uid)s AND last_sync_uid = %(uid)s)
    FROM botzilla.estimate
"""
_FIND_UID: Final = "SELECT uid FROM botzilla.sync_run WHERE sync_name = %s"


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The estimates as SQL counts them."""

    total: int
    new: int
    updated: int


@dataclass(frozen=True, kw_only=True)
class SampleEnvironment:
    """What the product runs in."""

    sample: RunningSample
    receiver: Receiver
    email: str
    password: str = field(repr=False)

    @property
    def callback_url(self) -> str:
        """Where outcomes are to be posted."""
        return f"{self.receiver.url}/make-webhook"


@contextmanager
def running_sample_environment() -> Iterator[SampleEnvironment]:
    """Run the sample source, still in its past, and the webhook."""
    config = SampleConfig(records=_build_past(), page_delay_seconds=PAGE_DELAY_SECONDS)
    with running_sample(config) as sample, running_receiver() as receiver:
        yield SampleEnvironment(sample=sample, receiver=receiver, email=config.email, password=config.password)


def preload(scenery: SampleEnvironment, database_url: str) -> None:
    """Fill the database with the past by a sync of its own; then let Attic Tech move on.

    Raises:
        RuntimeError: That sync failed; its log is in the message.
    """
    print_fact(f"Filling the database with what Attic Tech had before, {KNOWN:,} estimates: a few seconds")
    days = compute_default_range(datetime.now(UTC).date())
    with tempfile.NamedTemporaryFile() as result:
        environment = {
            env.SYNC_ID: "preload",
            env.SYNC_UID: str(uuid4()),
            env.SYNC_START_DATE: days.start.isoformat(),
            env.SYNC_END_DATE: days.end.isoformat(),
            env.SYNC_PAGE_SIZE: "1000",
            env.ATTIC_TECH_URL: scenery.sample.url,
            env.ATTIC_TECH_EMAIL: scenery.email,
            env.ATTIC_TECH_PASSWORD: scenery.password,
            env.DATABASE_URL: database_url,
            env.TERMINATION_MESSAGE_PATH: result.name,
        }
        _run_sync_program({**os.environ, **environment})
    _move_on(scenery.sample)


def count_rows(database_url: str, sync_id: str) -> Rows:
    """Count in PostgreSQL itself how many estimates there are, and what this sync did to them."""
    with psycopg.connect(database_url) as connection:
        uid = (connection.execute(_FIND_UID, (sync_id,)).fetchone() or ("",))[0]
        total, new, updated = connection.execute(_COUNT_ROWS, {"uid": uid}).fetchone() or (0, 0, 0)
    return Rows(total=total, new=new, updated=updated)


def read_log_file(path: Path) -> Sequence[str]:
    """Read a log's lines; none when there is no log."""
    return path.read_text().splitlines() if path.exists() else ()


def _build_present() -> list[Record]:
    return build_records(TOTAL, _SEED, datetime.now(UTC), span=_SPAN)


def _build_past() -> list[Record]:
    return [build_older_version(record) for record in _build_present()[:KNOWN]]


def _move_on(sample: RunningSample) -> None:
    known = {record["id"] for record in sample.store.read_all()}
    for record in _build_present():
        if record["id"] in known:
            sample.store.update(record["id"], record)
        else:
            sample.store.insert(record)


def _run_sync_program(environment: dict[str, str]) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "estimatesync_job"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_PRELOAD_SECONDS,
        check=False,
    )
    if finished.returncode:
        raise RuntimeError(f"the first sync, which fills the database, failed:\n{finished.stdout}{finished.stderr}")

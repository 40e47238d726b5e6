"""The sync dies, or loses its database, at every single step: the tables are untouched or exactly right.

A proxy before PostgreSQL reads the protocol's messages and strikes at the n-th step, for every n that there is. A step
is a statement, a part of the COPY, or the goodbye. https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import asyncio
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.refused_login import Credentials
from estimatesync_contract.status import Results
from estimatesync_contract.timestamps import format_timestamp
from estimatesync_job.adapters.attic_tech import open_attic_tech
from estimatesync_job.adapters.database import open_postgres
from estimatesync_job.adapters.log import create_log
from estimatesync_job.core.closing_pass import PassPolicy
from estimatesync_job.core.errors import DatabaseUnavailableError, SyncError
from estimatesync_job.core.page_plan import build_plan
from estimatesync_job.settings import Settings, parse_settings
from estimatesync_job.sync import Sync
from sample_attic_tech import Response, RunningSample

Eventually = Callable[[Callable[[], bool]], None]
Fill = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[Any]]
When = Literal["before", "after"]
STEP_ENDS: Final = b"QSdcX"
"""Query, Sync, CopyData, CopyDone, Terminate."""

RUNNING: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'estimatesync' AND datname = current_database()"
)


class Proxy:
    """Passes everything on until it strikes, once: before the server gets the step, or as soon as it answers it."""

    def __init__(self, server: Path, port: int = 0) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._strike: Callable[[], object] | None = None
        self._step, self._when = 0, "before"
        self.steps: list[bytes] = []
        Thread(target=self._accept, daemon=True).start()

    def arm(self, step: int, when: When, strike: Callable[[], object]) -> None:
        self.steps = []
        self._step, self._when, self._strike = step, when, strike

    def close(self) -> None:
        # A listener that is shut down ends its accept(), unlike one that is closed.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError), self._listener:
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._server))
            answers = Thread(target=self._guard, args=(self._pump_answers, client, server), daemon=True)
            answers.start()
            self._guard(self._pump_requests, client, server)
            answers.join()

    def _guard(self, pump: Callable[[socket.socket, socket.socket], None], client: Any, server: Any) -> None:
        with suppress(OSError, EOFError):
            pump(client, server)
        for end in (client, server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pump_requests(self, client: socket.socket, server: socket.socket) -> None:
        server.sendall(read_message(client, has_type=False))
        while True:
            batch = message = read_message(client)
            while message[:1] not in STEP_ENDS:
                batch += (message := read_message(client))
            self.steps.append(batch)
            if self._is_due("before"):
                self._hit()
            server.sendall(batch)

    def _pump_answers(self, client: socket.socket, server: socket.socket) -> None:
        while answer := server.recv(65536):
            if self._is_due("after"):
                self._hit()
            client.sendall(answer)

    def _is_due(self, when: When) -> bool:
        return self._strike is not None and self._when == when and len(self.steps) == self._step

    def _hit(self) -> None:
        strike, self._strike = self._strike, None
        if strike:
            strike()
        raise EOFError


def read_message(source: socket.socket, *, has_type: bool = True) -> bytes:
    head = read_exactly(source, 5 if has_type else 4)
    (length,) = struct.unpack("!I", head[-4:])
    return head + read_exactly(source, length - 4)


def read_exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = source.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def kill_newest(jobs: Any) -> Callable[[], None]:
    """The job is started after this has been made."""

    def kill() -> None:
        jobs.started[-1].process.kill()

    return kill


@pytest.fixture
def proxy(postgres_data: Path) -> Iterator[Proxy]:
    (server,) = postgres_data.glob(".s.PGSQL.*[0-9]")
    running = Proxy(server)
    yield running
    running.close()


@pytest.fixture
def proxied_url(proxy: Proxy, database_url: str) -> str:
    parts = urlsplit(database_url)
    user = parts.username or "postgres"
    query = "sslmode=disable&gssencmode=disable"
    return parts._replace(netloc=f"{user}@127.0.0.1:{proxy.port}", query=query).geturl()


class Trial:
    """A source that before each sync has one new estimate, two changed ones, and otherwise what it had."""

    def __init__(self, sample: RunningSample, fill: Fill, query: Query) -> None:
        self.sample, self.query = sample, query
        self.spare = fill(60)
        for record in self.spare[3:]:
            sample.store.delete(record["id"])
        self.known = [self.spare.pop(0) for _ in range(3)]

    def change(self) -> Results:
        """Change the source, and return what the next sync must report."""
        for record in self.known[-2:]:
            name = self.sample.store.read(record["id"]).get("name")
            self.sample.store.update(record["id"], {"name": f"{name} again"})
        self.known.append(self.spare.pop(0))
        self.sample.store.insert(self.known[-1])
        total = len(self.known)
        return Results(
            total_fetched=total,
            new_estimates=1,
            updated_estimates=total - 1,
            unchanged_estimates=total - 3,
            total_processed=total,
            previous_total_fetched=total - 1,
        )

    def read_names(self, schema: str = "botzilla") -> list[Any]:
        if self.query("SELECT to_regclass(%s) IS NULL", f"{schema}.estimate") == [True]:
            return []
        return self.query(f"SELECT attic_tech_estimate_id, name FROM {schema}.estimate ORDER BY 1")  # noqa: S608 - ours


@pytest.mark.parametrize("means", ["kill", "cut"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_at_every_step_the_tables_are_untouched_or_right_and_the_successor_reports_the_very_counts(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, eventually: Eventually, proxy: Proxy, proxied_url: str,
    means: str, when: When,
) -> None:  # fmt: skip
    trial, outcomes = Trial(sample, fill, query), []
    jobs.run(sample)
    while len(proxy.steps) >= len(outcomes):
        step, uid = len(outcomes) + 1, str(uuid4())
        before, expected = trial.read_names(), trial.change()
        proxy.arm(step, when, kill_newest(jobs) if means == "kill" else lambda: None)

        job = jobs.start(sample, DATABASE_URL=proxied_url, SYNC_UID=uid)
        exit_code = job.wait()
        eventually(lambda: query(RUNNING) == [0])
        between = trial.read_names()
        successor = sync_here(jobs.build_environment(sample, SYNC_UID=uid))

        right = trial.read_names()
        assert successor == expected, step
        assert len(right) == expected.total_processed, step
        assert sum(name not in before for name in right) == 3, step
        assert between in (before, right), step
        if exit_code == 0:
            assert (between, job.result.results) == (right, expected), step
        elif means == "cut":
            assert job.result.error.reason is Reason.DATABASE_UNAVAILABLE, step
            assert (exit_code, between) == (10, before), step
        outcomes.append((exit_code == 0, between == right))
    assert {(False, False), (True, True)} <= set(outcomes)
    # Only a killed process cannot report its commit: one that merely lost the response asks again. Killed before the
    # goodbye, which follows the commit, it may have been faster.
    if (means, when) != ("kill", "before"):
        assert ((False, True) in outcomes) is (means == "kill")
    assert len(outcomes) > 12


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_sync_of_changes_that_dies_at_any_step_leaves_its_successor_what_it_would_have_stored(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, eventually: Eventually, proxy: Proxy, proxied_url: str,
    read_clock: Callable[[], datetime], when: When,
) -> None:  # fmt: skip
    """Only what is committed is a base: what a dead one has read is read again."""
    record, *_ = fill(30)
    jobs.run(sample)
    name, step = "", 0
    while len(proxy.steps) >= step:
        step, before, name = step + 1, name, f"changed {step}"
        sample.store.update(record["id"], {"name": name, "updatedAt": format_timestamp(read_clock())})
        variables = {"SYNC_UID": str(uuid4()), "SYNC_MODE": "Changes"}
        proxy.arm(step, when, kill_newest(jobs))

        jobs.start(sample, DATABASE_URL=proxied_url, **variables).wait()
        eventually(lambda: query(RUNNING) == [0])
        between = query("SELECT name FROM botzilla.estimate WHERE attic_tech_estimate_id = %s", record["id"])
        successor = sync_here(jobs.build_environment(sample, **variables))

        assert before == "" or between[0] in {before, name}, step
        assert query("SELECT name FROM botzilla.estimate WHERE attic_tech_estimate_id = %s", record["id"]) == [name], (
            step
        )
        # Others that are asked for in any case are as they were.
        assert successor.total_fetched == successor.updated_estimates == successor.unchanged_estimates + 1 < 30, step
    runs = "FROM botzilla.sync_run AS run LEFT JOIN botzilla.sync_run AS base ON base.uid = run.base_uid"
    assert query(f"SELECT run.mode, base.uid IS NULL {runs} GROUP BY 1, 2 ORDER BY 1") == [
        ("Changes", False),
        ("Whole", True),
    ]
    assert step > 10


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_database_that_freezes_at_any_step_is_given_up_and_the_report_is_true(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, eventually: Eventually, proxy: Proxy, proxied_url: str,
    when: When,
) -> None:  # fmt: skip
    trial, outcomes = Trial(sample, fill, query), []
    jobs.run(sample)
    while len(proxy.steps) >= len(outcomes):
        step, thawed = len(outcomes) + 1, Event()
        before, expected = trial.read_names(), trial.change()
        settings = parse_settings(jobs.build_environment(sample, DATABASE_URL=proxied_url))
        proxy.arm(step, when, thawed.wait)

        results, error = asyncio.run(sync_with(settings, answer_seconds=1.0))
        thawed.set()
        eventually(lambda: query(RUNNING) == [0])

        assert isinstance(error, DatabaseUnavailableError) or (error, results) == (None, expected), step
        assert trial.read_names() == before if error else len(trial.read_names()) == expected.total_processed, step
        outcomes.append(error is None)
        sync_here(jobs.build_environment(sample))
    assert set(outcomes) == {True, False}
    assert len(outcomes) > 12


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0], ids=["first", "middle", "commit"])
def test_a_sync_that_is_stopped_while_its_database_is_frozen_ends_within_its_grace(
    jobs: Any, sample: RunningSample, fill: Fill, eventually: Eventually, proxy: Proxy, proxied_url: str, place: float
) -> None:
    fill(3)
    jobs.run(sample)
    jobs.run(sample, DATABASE_URL=proxied_url)
    commit = next(number for number, step in enumerate(proxy.steps, 1) if b"COMMIT" in step)
    frozen, thawed = Event(), Event()
    proxy.arm(1 + round(place * (commit - 1)), "before", lambda: frozen.set() or thawed.wait())
    job = jobs.start(sample, DATABASE_URL=proxied_url)
    eventually(frozen.is_set)

    job.process.send_signal(signal.SIGTERM)

    assert job.wait() == 10
    assert job.result.error.reason is Reason.INTERRUPTED
    thawed.set()


def sync_here(environment: dict[str, str]) -> Results:
    """Sync to the end, within this process: a program of its own would take ten times as long."""
    results, error = asyncio.run(sync_with(parse_settings(environment), answer_seconds=60.0))
    assert results is not None, error
    return results


async def sync_with(settings: Settings, *, answer_seconds: float) -> tuple[Results | None, SyncError | None]:
    """Sync within this process, as the program does, but with less patience."""
    with open("/dev/null", "w") as nowhere:  # noqa: ASYNC230, PTH123 - a device
        log = create_log("text", nowhere, sync_id="s")
        sync = Sync(
            open_source=open_attic_tech(settings, log=log),
            open_store=open_postgres(settings, answer_seconds=answer_seconds),
            log=log,
            plan=build_plan(page_size=settings.page_size, ahead=settings.concurrency),
            passes=PassPolicy(),
            max_skipped_percent=settings.max_skipped_percent,
            max_unshown_percent=settings.max_unshown_percent,
            credentials=Credentials(url="", email="", password="", retry=""),
            mode=settings.mode,
        )
        try:
            await sync.run()
        except SyncError as error:
            return sync.stored and sync.stored.results, error
    return sync.stored and sync.stored.results, None


def test_killed_at_every_step_of_the_first_sync_of_all_it_leaves_no_estimate_or_all(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, eventually: Eventually, proxy: Proxy, proxied_url: str,
    database_url: str,
) -> None:  # fmt: skip
    trial, step = Trial(sample, fill, query), 0
    while len(proxy.steps) >= step:
        step += 1
        variables = {"SYNC_UID": str(uuid4()), "DATABASE_SCHEMA": f"first_{step}"}
        proxy.arm(step, "before", kill_newest(jobs))

        jobs.start(sample, DATABASE_URL=proxied_url, **variables).wait()
        eventually(lambda: query(RUNNING) == [0])
        between = trial.read_names(variables["DATABASE_SCHEMA"])
        successor = sync_here(jobs.build_environment(sample, **{**variables, "DATABASE_URL": database_url}))

        assert len(between) in {0, 3}, step
        assert successor.new_estimates == 3, step
    assert step > 20


def test_a_database_that_comes_back_in_time_is_waited_for(
    jobs: Any, sample: RunningSample, fill: Fill, proxy: Proxy, proxied_url: str, postgres_data: Path
) -> None:
    fill(3)
    (server,) = postgres_data.glob(".s.PGSQL.*[0-9]")
    proxy.close()

    job = jobs.start(sample, DATABASE_URL=proxied_url, DATABASE_WAIT_SECONDS="25")
    job.wait_for("Starting estimate fetch process")
    # The first attempt follows at once; it fails without a word.
    time.sleep(1)
    again = Proxy(server, proxy.port)

    assert job.wait() == 0
    assert job.result.results.new_estimates == 3
    again.close()


def test_what_the_database_was_waited_for_is_time_that_the_sync_has_no_more(
    jobs: Any, sample: RunningSample, proxy: Proxy, proxied_url: str, postgres_data: Path
) -> None:
    (server,) = postgres_data.glob(".s.PGSQL.*[0-9]")
    sample.on_request = lambda _: Response(status=429, headers={"Retry-After": "58"})
    proxy.close()

    job = jobs.start(sample, DATABASE_URL=proxied_url, DATABASE_WAIT_SECONDS="25", SYNC_TIMEOUT_SECONDS="60")
    job.wait_for("Starting estimate fetch process")
    time.sleep(3)
    again = Proxy(server, proxy.port)
    job.wait()

    assert job.result.error.reason is Reason.SOURCE_UNAVAILABLE
    assert "Raise timeoutSeconds" in job.result.error.message
    assert len(sample.requests) == 1
    again.close()

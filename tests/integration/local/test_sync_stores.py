"""The API's and the reconciler's store over one table in a real PostgreSQL."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest
from estimatesync_api.core.listing import SyncQuery
from estimatesync_api.core.problems import StoreUnavailableError, SyncExistsError, SyncRefusedError
from estimatesync_api.redelivery import request_redelivery
from estimatesync_contract.estimate_sync import EstimateSync, MalformedSyncError, Metadata
from estimatesync_contract.spec import CallbackSpec, DateRange, EstimateSyncSpec
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_contract.status import AlertStatus, CallbackState, CallbackStatus, EstimateSyncStatus, Phase
from estimatesync_local.adapters.database import migrate, open_session, single_instance
from estimatesync_local.adapters.sync_store import ApiStore, ReconcilerStore, SyncTable, listen
from estimatesync_operator.core.ports import BackendUnavailableError, StaleSyncError
from psycopg import sql

T = TypeVar("T")
Act = Callable[[ApiStore, ReconcilerStore], Awaitable[T]]

DAYS = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
QUEUED = EstimateSyncStatus(phase=Phase.QUEUED, message="Position 1")
WAIT_SECONDS = 60.0
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def use(database_url: str, act: Act[T]) -> T:
    async def run() -> T:
        table = SyncTable(database_url)
        try:
            return await act(ApiStore(table, jobs_directory=Path("unused")), ReconcilerStore(table))
        finally:
            await table.close()

    return asyncio.run(run())


def build_sync(name: str = "est-1", **spec: object) -> EstimateSync:
    metadata = Metadata(name=name, annotations={"botzilla.io/request-digest": "d"}, labels={"a": "b"})
    return EstimateSync(metadata=metadata, spec=msgspec.convert(spec, EstimateSyncSpec))


@pytest.fixture
def migrated_url(database_url: str) -> str:
    asyncio.run(migrate(database_url))
    return database_url


def test_migrating_at_the_same_time_and_again_changes_nothing(database_url: str) -> None:
    starts = [threading.Thread(target=lambda: asyncio.run(migrate(database_url))) for _ in range(4)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()

    asyncio.run(migrate(database_url))

    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT number FROM estimatesync_local.migration").fetchall()
    assert rows == [(1,), (2,), (3,), (4,)]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"datestyle": "German", "timezone": "Pacific/Apia", "intervalstyle": "sql_standard"}, id="dates"),
        pytest.param({"client_encoding": "LATIN1", "bytea_output": "escape", "search_path": ""}, id="texts"),
        pytest.param({"default_transaction_read_only": "on", "default_transaction_deferrable": "on"}, id="read-only"),
        pytest.param({"default_transaction_isolation": "serializable"}, id="serializable"),
        pytest.param({"idle_session_timeout": "10min", "lock_timeout": "1"}, id="limits"),
    ],
)
def test_what_the_database_sets_for_every_session_changes_nothing(database_url: str, settings: dict[str, str]) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    with psycopg.connect(database_url, autocommit=True) as connection:
        for setting, value in settings.items():
            statement = sql.SQL("ALTER DATABASE {} SET {} = {}")
            connection.execute(statement.format(sql.Identifier(str(name)), sql.Identifier(setting), sql.Literal(value)))

    async def act(api: ApiStore, reconciler: ReconcilerStore) -> EstimateSync | None:
        async with single_instance(database_url):
            created = await api.create(build_sync())
            async with await open_session(database_url) as session:
                limit = await (await session.execute("SHOW idle_session_timeout")).fetchone()
            assert limit == {"idle_session_timeout": "0"}
            await reconciler.write_status(created, msgspec.structs.replace(QUEUED, message="🏠"))
            return await reconciler.fetch("est-1")

    asyncio.run(migrate(database_url))
    asyncio.run(migrate(database_url))
    stored = use(database_url, act)

    assert stored is not None
    assert stored.status.message == "🏠"
    assert stored.metadata.creation_timestamp is not None
    assert abs(stored.metadata.creation_timestamp - datetime.now(UTC)) < timedelta(minutes=5)


def test_no_tables_are_made_in_a_database_that_cannot_hold_every_text(postgres_url: str, database_url: str) -> None:
    name = f"latin_{psycopg.conninfo.conninfo_to_dict(database_url)['dbname']}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        statement = "CREATE DATABASE {} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
        with pytest.raises(psycopg.Error, match="LATIN1, cannot hold every text"):
            asyncio.run(migrate(urlsplit(database_url)._replace(path=f"/{name}").geturl()))
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def test_a_database_of_the_first_release_is_recognised_and_brought_up_to_date(database_url: str) -> None:
    first = files("estimatesync_local").joinpath("migrations", "001_sync.sql").read_bytes()
    with psycopg.connect(database_url) as connection:
        # As version 0.1.0 made it, stopped after its first migration.
        connection.execute("CREATE SCHEMA IF NOT EXISTS estimatesync_local")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS estimatesync_local.migration"
            " (number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        connection.execute(first)
        connection.execute("INSERT INTO estimatesync_local.migration (number) VALUES (1)")

    asyncio.run(migrate(database_url))

    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT number FROM estimatesync_local.migration ORDER BY number").fetchall()
    assert rows == [(1,), (2,), (3,), (4,)]


def test_a_migration_waits_for_the_lock_that_every_version_takes(database_url: str) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(7340190455121)")
        start = threading.Thread(target=lambda: asyncio.run(migrate(database_url)))
        start.start()
        with psycopg.connect(database_url, autocommit=True) as observer:
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            deadline = time.monotonic() + WAIT_SECONDS
            while observer.execute(waiting).fetchone() != (1,):
                assert time.monotonic() < deadline, "the migration never waited for the lock"
                time.sleep(0.02)
    start.join()

    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM estimatesync_local.migration").fetchone() == (4,)


def test_a_sync_comes_back_as_it_was_stored(migrated_url: str) -> None:
    asked = build_sync(pageSize=7, callback={"enabled": False}, dateRange={"start": "2025-09-01", "end": "2025-10-16"})

    async def act(api: ApiStore, reconciler: ReconcilerStore) -> tuple[EstimateSync, EstimateSync | None]:
        return await api.create(asked), await reconciler.fetch("est-1")

    stored, read = use(migrated_url, act)

    assert stored == read
    assert stored.spec == EstimateSyncSpec(page_size=7, date_range=DAYS, callback=CallbackSpec(enabled=False))
    assert (stored.metadata.labels, stored.metadata.annotations) == ({"a": "b"}, {"botzilla.io/request-digest": "d"})
    assert stored.metadata.creation_timestamp is not None
    assert datetime.now(UTC) - stored.metadata.creation_timestamp < timedelta(minutes=1)
    assert (len(stored.uid), stored.metadata.generation, stored.status) == (36, 1, EstimateSyncStatus())


def test_a_status_sent_along_is_not_stored(migrated_url: str) -> None:
    asked = msgspec.structs.replace(build_sync(), status=EstimateSyncStatus(phase=Phase.SUCCEEDED))

    stored = use(migrated_url, lambda api, _: api.create(asked))

    assert stored.status == EstimateSyncStatus()


def test_a_name_is_taken_once(migrated_url: str) -> None:
    use(migrated_url, lambda api, _: api.create(build_sync()))

    with pytest.raises(SyncExistsError):
        use(migrated_url, lambda api, _: api.create(build_sync(pageSize=9)))

    kept = use(migrated_url, lambda api, _: api.fetch("est-1"))
    assert kept is not None
    assert kept.spec.page_size is None


@pytest.mark.parametrize(
    ("sync", "fault"),
    [
        pytest.param(EstimateSync(metadata=Metadata(name="x" * 64)), "63 characters", id="long-name"),
        pytest.param(EstimateSync(metadata=Metadata(name="")), "63 characters", id="no-name"),
        pytest.param(EstimateSync(metadata=Metadata(name="Upper")), "a-z, 0-9", id="upper-case-name"),
        pytest.param(
            EstimateSync(metadata=Metadata(name="a"), spec=EstimateSyncSpec(page_size=0)), "pageSize", id="bound"
        ),
        pytest.param(
            EstimateSync(
                metadata=Metadata(name="a"),
                spec=EstimateSyncSpec(date_range=DateRange(start=DAYS.end, end=DAYS.start)),
            ),
            "must not be after",
            id="backwards",
        ),
        pytest.param(
            EstimateSync(metadata=Metadata(name="a", annotations={"k": "\0"})), "cannot store", id="unstorable-text"
        ),
    ],
)
def test_what_a_cluster_would_refuse_is_refused(migrated_url: str, sync: EstimateSync, fault: str) -> None:
    with pytest.raises(SyncRefusedError, match=fault):
        use(migrated_url, lambda api, _: api.create(sync))

    assert use(migrated_url, lambda _, reconciler: reconciler.fetch_unfinished()) == ()


@pytest.mark.parametrize("name", ["missing", "\0", "a'; DROP TABLE sync"])
def test_a_name_that_is_not_there_is_none(migrated_url: str, name: str) -> None:
    assert use(migrated_url, lambda api, _: api.fetch(name)) is None


def test_a_status_is_written_over_exactly_the_version_that_was_read(migrated_url: str) -> None:
    async def act(api: ApiStore, reconciler: ReconcilerStore) -> tuple[EstimateSync, EstimateSync]:
        first = await api.create(build_sync())
        second = await reconciler.write_status(first, QUEUED)
        with pytest.raises(StaleSyncError):
            await reconciler.write_status(first, EstimateSyncStatus(phase=Phase.FAILED))
        return second, await reconciler.write_status(second, EstimateSyncStatus(phase=Phase.RUNNING))

    second, third = use(migrated_url, act)

    assert (second.status, third.status.phase) == (QUEUED, Phase.RUNNING)
    assert int(third.metadata.resource_version) > int(second.metadata.resource_version)
    assert third.metadata.generation == 1


def test_a_sync_recreated_under_the_same_name_is_another_one(migrated_url: str) -> None:
    async def act(api: ApiStore, reconciler: ReconcilerStore) -> EstimateSync | None:
        old = await api.create(build_sync())
        await reconciler.delete(old)
        await api.create(build_sync())
        await reconciler.delete(old)
        with pytest.raises(StaleSyncError):
            await reconciler.write_status(old, QUEUED)
        return await reconciler.fetch("est-1")

    left = use(migrated_url, act)

    assert left is not None
    assert left.status == EstimateSyncStatus()


def test_a_deletion_is_on_record_for_some_months_with_whatever_tool_it_was_made(migrated_url: str) -> None:
    async def act(api: ApiStore, reconciler: ReconcilerStore) -> tuple[set[str], frozenset[str], frozenset[str]]:
        first, second, kept = [await api.create(build_sync(name)) for name in ("a", "b", "c")]
        await reconciler.delete(first)
        with psycopg.connect(migrated_url, autocommit=True) as connection:
            connection.execute("DELETE FROM estimatesync_local.sync WHERE name = 'b'")
            soon = await reconciler.fetch_deleted_uids()
            connection.execute("UPDATE estimatesync_local.deleted_sync SET deleted_at = now() - interval '91 days'")
            connection.execute("DELETE FROM estimatesync_local.sync WHERE name = 'c'")
        uids = {first.uid, second.uid, kept.uid}
        return uids, soon, await reconciler.fetch_deleted_uids()

    uids, soon, later = use(migrated_url, act)

    assert len(soon) == 2
    assert uids - soon == later


def test_the_sync_that_has_succeeded_last_is_found_by_its_end(migrated_url: str) -> None:
    async def act(api: ApiStore, reconciler: ReconcilerStore) -> list[str | None]:
        async def find() -> str | None:
            silence = await reconciler.fetch_silence(now=datetime(2026, 3, 2, tzinfo=UTC))
            return silence.name if silence else None

        found = [await find()]
        # By time and not by text: the second ends last, though its text comes first.
        ends = {
            "a": "2026-03-01T09:00:00Z",
            "b": "2026-03-01T08:30:00-01:00",
            "c": None,
            "future": "2027-03-01T00:00:00Z",
        }
        for name, end in ends.items():
            sync = await api.create(build_sync(name))
            completion = datetime.fromisoformat(end) if end else None
            await reconciler.write_status(sync, EstimateSyncStatus(phase=Phase.SUCCEEDED, completion_time=completion))
            found.append(await find())
        return found

    assert use(migrated_url, act) == [None, "a", "b", "b", "b"]


def test_before_the_first_success_a_silence_is_on_record_on_the_oldest_sync_that_has_ended(migrated_url: str) -> None:
    alert = AlertStatus(
        time=NOW, since=NOW, stale_after_hours=26, delivery=CallbackStatus(state=CallbackState.DELIVERED)
    )
    failed = EstimateSyncStatus(phase=Phase.FAILED, completion_time=NOW)

    async def act(api: ApiStore, reconciler: ReconcilerStore) -> tuple[datetime | None, list[Any]]:
        waiting, first, second = [await api.create(build_sync(name)) for name in ("waiting", "first", "second")]
        cancelled = msgspec.structs.replace(failed, phase=Phase.CANCELLED)
        found = []
        for sync, status in ((waiting, QUEUED), (first, cancelled), (second, failed)):
            written = await reconciler.write_status(sync, status)
            found.append(await reconciler.fetch_silence(now=NOW))
        written = await reconciler.write_status(written, msgspec.structs.replace(failed, alert=alert))
        found.append(await reconciler.fetch_silence(now=NOW))
        ended = msgspec.structs.replace(alert, delivery=CallbackStatus(state=CallbackState.DISABLED))
        await reconciler.write_status(written, msgspec.structs.replace(failed, alert=ended))
        found.append(await reconciler.fetch_silence(now=NOW))
        return waiting.metadata.creation_timestamp, [
            (each.name, each.since, each.told_at is not None) if each else None for each in found
        ]

    since, found = use(migrated_url, act)

    first = ("first", since, False)
    assert found == [None, first, first, ("second", since, True), first]


def test_a_sync_that_something_is_asked_of_is_not_deleted_as_it_was_before(migrated_url: str) -> None:
    async def act(api: ApiStore, reconciler: ReconcilerStore) -> EstimateSync | None:
        old = await api.create(build_sync())
        asked = await request_redelivery(api, "est-1", lambda _: "monday", by="make")
        with pytest.raises(StaleSyncError):
            await reconciler.delete(old)
        assert asked is not None
        assert await reconciler.fetch("est-1") == asked
        await reconciler.delete(asked)
        return await reconciler.fetch("est-1")

    assert use(migrated_url, act) is None


def test_a_cancelled_sync_is_a_new_generation_and_asking_again_is_not(migrated_url: str) -> None:
    use(migrated_url, lambda api, _: api.create(build_sync(pageSize=7)))

    answers = [use(migrated_url, lambda api, _: api.request_cancel("est-1", by="make")) for _ in range(2)]
    missing = use(migrated_url, lambda api, _: api.request_cancel("est-2", by="make"))

    assert [(s.spec.cancel, s.spec.page_size, s.metadata.generation) for s in answers if s] == [(True, 7, 2)] * 2
    assert missing is None


def test_a_redelivery_is_an_annotation_that_keeps_the_others(migrated_url: str) -> None:
    use(migrated_url, lambda api, _: api.create(build_sync()))

    answer = use(migrated_url, lambda api, _: request_redelivery(api, "est-1", lambda _: "token", by="make"))
    missing = use(migrated_url, lambda api, _: request_redelivery(api, "est-2", lambda _: "token", by="make"))

    assert answer is not None
    assert answer.metadata.annotations == {
        "botzilla.io/request-digest": "d",
        "botzilla.io/redeliver": "token",
        "botzilla.io/redelivered-by": "make",
    }
    assert missing is None


def test_a_redelivery_is_built_again_of_a_sync_that_changes_meanwhile(migrated_url: str) -> None:
    seen: list[str | None] = []

    def build(sync: EstimateSync) -> str:
        if not seen:
            with psycopg.connect(migrated_url, autocommit=True) as other:
                other.execute(
                    "UPDATE estimatesync_local.sync SET annotations = annotations || %s::jsonb",
                    ('{"botzilla.io/redeliver": "t/billing"}',),
                )
        seen.append(sync.metadata.annotations.get("botzilla.io/redeliver"))
        return f"{seen[-1]},crm"

    use(migrated_url, lambda api, _: api.create(build_sync()))
    answer = use(migrated_url, lambda api, _: request_redelivery(api, "est-1", build, by="make"))
    nothing = use(migrated_url, lambda api, _: request_redelivery(api, "est-1", lambda _: None, by="crm"))

    assert seen == [None, "t/billing"]
    assert answer is not None
    assert answer.metadata.annotations["botzilla.io/redeliver"] == "t/billing,crm"
    assert nothing is None
    assert use(migrated_url, lambda api, _: api.fetch("est-1")) == answer


def test_syncs_are_listed_newest_first_in_pages(migrated_url: str) -> None:
    async def act(api: ApiStore, reconciler: ReconcilerStore) -> list[list[str]]:
        for name, phase in {"c": Phase.RUNNING, "b": None, "d": Phase.FAILED, "a": Phase.QUEUED}.items():
            sync = await api.create(build_sync(name))
            await reconciler.write_status(sync, EstimateSyncStatus(phase=phase))
        middle = await api.fetch("b")
        assert middle is not None
        created = middle.metadata.creation_timestamp
        assert created is not None
        first = await api.list_page(SyncQuery(limit=3))
        queries = [
            SyncQuery(limit=3, after=first.end),
            SyncQuery(phases=frozenset({Phase.QUEUED})),
            SyncQuery(since=created),
            SyncQuery(until=created),
            SyncQuery(since=created, until=created),
        ]
        pages = [first, *[await api.list_page(query) for query in queries]]
        return [[sync.name for sync in page.syncs] for page in pages]

    pages = use(migrated_url, act)

    assert pages == [["a", "d", "b"], ["c"], ["a", "b"], ["a", "d", "b"], ["c"], []]


def test_syncs_are_counted_by_phase(migrated_url: str) -> None:
    async def act(api: ApiStore, reconciler: ReconcilerStore) -> Mapping[Phase, int]:
        for name, phase in {"c": Phase.RUNNING, "b": None, "d": Phase.FAILED, "a": Phase.QUEUED}.items():
            sync = await api.create(build_sync(name))
            if phase:
                await reconciler.write_status(sync, EstimateSyncStatus(phase=phase))
        return await api.count_phases()

    with psycopg.connect(migrated_url) as connection:
        connection.execute(
            """INSERT INTO estimatesync_local.sync (name, spec, status) VALUES ('x', '{}', '{"phase": "Tomorrow"}')"""
        )

    assert use(migrated_url, act) == {Phase.QUEUED: 2, Phase.RUNNING: 1, Phase.FAILED: 1}


def test_unfinished_syncs_come_oldest_first(migrated_url: str) -> None:
    async def act(api: ApiStore, reconciler: ReconcilerStore) -> tuple[EstimateSync, ...]:
        for name, phase in {"c": Phase.RUNNING, "b": None, "d": Phase.FAILED, "a": Phase.QUEUED}.items():
            sync = await api.create(build_sync(name))
            await reconciler.write_status(sync, EstimateSyncStatus(phase=phase))
        return await reconciler.fetch_unfinished()

    unfinished = use(migrated_url, act)

    assert [sync.name for sync in unfinished] == ["c", "b", "a"]


def test_a_row_that_is_not_a_sync_is_reported_as_malformed(migrated_url: str) -> None:
    with psycopg.connect(migrated_url) as connection:
        connection.execute("""INSERT INTO estimatesync_local.sync (name, spec) VALUES ('a', '{"pageSize": "many"}')""")

    with pytest.raises(MalformedSyncError, match="pageSize"):
        use(migrated_url, lambda api, _: api.fetch("a"))


def test_an_unreachable_database_is_reported_as_such_and_reconnected(migrated_url: str) -> None:
    async def act(api: ApiStore, reconciler: ReconcilerStore) -> None:
        await api.check()
        with database_closed(migrated_url):
            with pytest.raises(StoreUnavailableError) as refusal:
                await api.create(build_sync())
            assert refusal.value.cause is SpecificCause.DATABASE_MISSING
            with pytest.raises(StoreUnavailableError):
                await api.check()
            with pytest.raises(BackendUnavailableError):
                await reconciler.fetch("est-1")
        await api.create(build_sync())

    use(migrated_url, act)

    assert use(migrated_url, lambda api, _: api.fetch("est-1")) is not None


def test_a_store_opens_before_its_database_is_ready(database_url: str) -> None:
    async def act(api: ApiStore, _: ReconcilerStore) -> None:
        with pytest.raises(StoreUnavailableError):
            await api.check()
        await migrate(database_url)
        await api.check()

    use(database_url, act)


def test_new_changed_and_removed_syncs_are_heard_of_also_after_a_break(migrated_url: str) -> None:
    async def act(api: ApiStore, reconciler: ReconcilerStore) -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        ear = asyncio.create_task(
            listen(migrated_url, on_name=heard.put_nowait, on_connect=lambda: heard.put_nowait("(connected)"))
        )
        async with asyncio.timeout(15):
            assert await heard.get() == "(connected)"
            sync = await api.create(build_sync())
            assert await heard.get() == "est-1"
            await reconciler.write_status(sync, QUEUED)
            await api.request_cancel("est-1", by="make")
            assert await heard.get() == "est-1"
            await request_redelivery(api, "est-1", lambda _: "token", by="make")
            assert await heard.get() == "est-1"
            await asyncio.to_thread(break_connections, migrated_url)
            assert await heard.get() == "(connected)"
            newest = await reconciler.fetch("est-1")
            assert newest is not None
            await reconciler.delete(newest)
            assert await heard.get() == "est-1"
        ear.cancel()
        await asyncio.gather(ear, return_exceptions=True)
        assert heard.empty()

    use(migrated_url, act)


def break_connections(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@contextmanager
def database_closed(url: str) -> Iterator[None]:
    """Refuse new connections: for a while the name in the URL leads nowhere."""
    info = psycopg.conninfo.conninfo_to_dict(url)
    name = psycopg.sql.Identifier(str(info["dbname"]))
    hidden = psycopg.sql.Identifier(f"{info['dbname']}_hidden")
    rename = psycopg.sql.SQL("ALTER DATABASE {} RENAME TO {}")
    break_connections(url)
    with psycopg.connect(url, dbname="postgres", autocommit=True) as connection:
        connection.execute(rename.format(name, hidden))
        try:
            yield
        finally:
            connection.execute(rename.format(hidden, name))

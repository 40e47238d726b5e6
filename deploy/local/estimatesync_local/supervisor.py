"""Starts everything in order, keeps it running, and stops it in reverse order. Called by `main`.

The order matters: the directory first, so that two servers never share it; then the address, so that a port that is
taken is reported at once; then the database, the reconcile loop, the API and the schedules. A server that is stopped
ends its syncs' runs, which begin again at the next start; one that is killed leaves PostgreSQL and the runs behind, and
the next one adopts them.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from estimatesync_contract.job_environment import DATABASE_URL

from estimatesync_local.adapters import file_lock, job_files
from estimatesync_local.adapters.accounts import find_foreign_path, format_refusal
from estimatesync_local.adapters.database import migrate, read_database_fault, single_instance
from estimatesync_local.adapters.listener import format_url, open_listener
from estimatesync_local.adapters.own_files import make_directory
from estimatesync_local.adapters.postgres import EmbeddedPostgres
from estimatesync_local.adapters.postgres_upgrade import finish_upgrade, upgrade
from estimatesync_local.api import JOBS_DIRECTORY
from estimatesync_local.api_server import ApiServer, ensure_api_key, wait_for_previous_api
from estimatesync_local.core.errors import AlreadyRunningError, DatabaseError, PostgresError, StartError
from estimatesync_local.reconcile_loop import running_reconcile_loop
from estimatesync_local.schedule_loop import running_schedules
from estimatesync_local.settings import Settings

_DATABASE_POLL_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Where everything lies, below the one directory."""

    directory: Path

    @property
    def jobs(self) -> Path:
        """One directory for each job."""
        return self.directory / "jobs"

    @property
    def postgres(self) -> Path:
        """The embedded PostgreSQL."""
        return self.directory / "postgres"

    @property
    def api_key(self) -> Path:
        """The key that was generated, if none was given."""
        return self.directory / "api-key"


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What the banner says of a server that is ready."""

    url: str
    paths: Paths
    is_key_generated: bool
    has_status_page: bool = True
    embedded_database_url: str | None
    """Where to read the rows; None with a given database, whose URL holds a password."""


async def supervise(settings: Settings, *, announce: Callable[[Ready], None]) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is called once, when the API serves requests.

    Raises:
        StartError: The server cannot start.
        SettingsError: What a setting names cannot be used.
    """
    paths = Paths(directory=settings.directory)
    stopping = _catch_signals()
    with _locked_directory(paths.directory, has_postgres=settings.database_url is None):
        await wait_for_previous_api(paths.directory / "api.lock")
        with open_listener(settings.address) as listener:
            async with _database(settings, paths) as database_url, single_instance(database_url):
                environment = _build_api_environment(settings, paths, database_url)
                async with (
                    running_reconcile_loop(settings, database_url=database_url, jobs_directory=paths.jobs) as work,
                    _api(listener, paths, environment) as upkeep,
                    running_schedules(
                        settings.schedules, zone=settings.reconciler.time_zone, database_url=database_url
                    ) as scheduled,
                ):
                    announce(_build_ready(settings, paths, listener, database_url))
                    await _wait_for_end(stopping, work, upkeep, *scheduled)


def upgrade_postgres(directory: Path, *, programs: Path | None, report: Callable[[str], None]) -> None:
    """Take the embedded PostgreSQL of a server that does not run to the major version of this one.

    Args:
        directory: of everything.
        programs: those of the version that made the data; None: looked for, and fetched if they are not there.
        report: told what goes on, for a person.

    Raises:
        StartError: It cannot be done, or a signal to stop has come; the data is as it was.
    """
    try:
        with _interrupted_by_signals():
            _upgrade_postgres(directory, programs=programs, report=report)
    except KeyboardInterrupt as error:
        raise StartError(
            "The upgrade was stopped before its end, and its servers with it. Give the same command again."
        ) from error


def _upgrade_postgres(directory: Path, *, programs: Path | None, report: Callable[[str], None]) -> None:
    paths = Paths(directory=directory)
    if not paths.postgres.exists():
        report(f"There is nothing to do: {directory} has no PostgreSQL.")
        return
    with _locked_directory(directory, has_postgres=True):
        asyncio.run(wait_for_previous_api(directory / "api.lock"))
        if any(file_lock.is_held(lock) for lock in paths.jobs.glob(f"*/{job_files.RUNS}/*/{job_files.LOCK}")):
            raise AlreadyRunningError(
                f"A sync of an earlier server still runs in {paths.jobs}. Wait until it has ended, and try again."
            )
        upgrade(paths.postgres, programs=programs, report=report)


def _list_stop_signals() -> list[signal.Signals]:
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        # Sent when the terminal closes; under nohup it is ignored, and stays so.
        numbers.append(signal.SIGHUP)
    return numbers


def _catch_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    for number in _list_stop_signals():
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Unwind what is done in here when a signal to stop comes; those that follow do not disturb that."""
    before = {number: signal.getsignal(number) for number in _list_stop_signals()}

    def interrupt(_number: int, _frame: object) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _wait_for_end(stopping: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Return on a signal to stop. A task that ends by itself has a defect, whose error is raised."""
    stop = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    logger.info("stopping")
    for task in done:
        task.result()


@contextmanager
def _locked_directory(directory: Path, *, has_postgres: bool) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            make_directory(directory)
            if (foreign := find_foreign_path(directory, has_postgres=has_postgres)) is not None:
                raise PermissionError(format_refusal(foreign, directory))
            stack.enter_context(file_lock.locked(directory / "supervisor.lock"))
        except BlockingIOError as error:
            raise AlreadyRunningError(
                f"Another EstimateSync uses {directory}. Stop it, or set LOCAL_DIRECTORY to another directory."
            ) from error
        except OSError as error:
            raise StartError(f"Cannot use {directory}: {error}. Or set LOCAL_DIRECTORY to another one.") from error
        yield


@asynccontextmanager
async def _database(settings: Settings, paths: Paths) -> AsyncIterator[str]:
    if settings.database_url is not None:
        await _migrate(settings.database_url)
        yield settings.database_url
        return
    postgres = await asyncio.to_thread(_start_postgres, paths.postgres)
    upkeep = asyncio.create_task(_keep_running(postgres))
    try:
        await _migrate(postgres.url)
        yield postgres.url
    finally:
        upkeep.cancel()
        await asyncio.to_thread(postgres.stop)


def _start_postgres(place: Path) -> EmbeddedPostgres:
    try:
        finish_upgrade(place)
    except OSError as error:
        raise PostgresError(f"The upgrade of PostgreSQL in {place} cannot be finished: {error}") from error
    postgres = EmbeddedPostgres(place)
    postgres.start()
    return postgres


async def _migrate(database_url: str) -> None:
    try:
        await migrate(database_url)
    except psycopg.Error as error:
        raise DatabaseError(f"The database cannot be used: {read_database_fault(error).text}.") from error


async def _keep_running(postgres: EmbeddedPostgres) -> None:
    """Restart PostgreSQL when it has ended: nothing else on this machine would."""
    while True:
        await asyncio.sleep(_DATABASE_POLL_SECONDS)
        try:
            if not await asyncio.to_thread(postgres.is_running):
                logger.error("PostgreSQL has ended; starting it again")
                await asyncio.to_thread(postgres.start)
        except (PostgresError, OSError) as error:
            logger.error("%s", error)  # noqa: TRY400 - the message says it all


@asynccontextmanager
async def _api(
    listener: socket.socket, paths: Paths, environment: Mapping[str, str]
) -> AsyncIterator[asyncio.Task[None]]:
    api = ApiServer(listener=listener, lock=paths.directory / "api.lock", environment=environment)
    upkeep = None
    try:
        await api.start()
        upkeep = asyncio.create_task(api.keep_running(), name="api")
        yield upkeep
    finally:
        if upkeep is not None:
            upkeep.cancel()
        await api.stop()


def _build_api_environment(settings: Settings, paths: Paths, database_url: str) -> dict[str, str]:
    generated = {} if settings.has_api_keys else {"API_KEYS": f"local:{ensure_api_key(paths.api_key)}"}
    return {
        **settings.machine_environment,
        **settings.api,
        **settings.tracing.variables,
        **generated,
        "TIME_ZONE": settings.reconciler.time_zone.key,
        "WEB_CONCURRENCY": str(settings.workers),
        DATABASE_URL: database_url,
        JOBS_DIRECTORY: str(paths.jobs),
    }


def _build_ready(settings: Settings, paths: Paths, listener: socket.socket, database_url: str) -> Ready:
    return Ready(
        url=format_url(listener),
        paths=paths,
        is_key_generated=not settings.has_api_keys,
        has_status_page=settings.has_status_page,
        embedded_database_url=database_url if settings.database_url is None else None,
    )

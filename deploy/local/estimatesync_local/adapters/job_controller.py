"""Runs jobs as child processes: starts their runs, ends them at the deadline, and adopts what an earlier server left.

The state is on disk (`job_files.py`), and `core/job_logic.py` decides what to do about it; this module only acts. A
server that is stopped takes its runs down with it; the next start begins them again, not counted as failures.
`ProcessJobs` shows the jobs to the reconciler as Kubernetes Jobs.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.job_environment import TERMINATION_MESSAGE_PATH, build_job_environment
from estimatesync_contract.names import build_job_name
from estimatesync_contract.spec import DateRange
from estimatesync_operator.core.job_observation import ABSENT_JOB, JobObservation, JobState, PodIdentity
from estimatesync_operator.core.ports import BackendUnavailableError, Clock

from estimatesync_local.adapters import job_files, run_processes
from estimatesync_local.core.job_logic import (
    Backoff,
    Job,
    JobRecord,
    Step,
    decide_step,
    map_observation,
    next_run_number,
)

if TYPE_CHECKING:
    import subprocess

_TAIL_BYTES: Final = 64 * 1024

ReadUids = Callable[[], Awaitable[tuple[Collection[str], Collection[str]]]]
"""Reads the uids of the syncs that exist, and of those that were deleted."""

logger = logging.getLogger(__name__)


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """The sync program: how it is started, and the settings and secrets that every run gets."""

    command: tuple[str, ...]
    environment: Mapping[str, str]

    def __repr__(self) -> str:
        """Show the command only: the environment holds secrets."""
        return f"Program(command={self.command!r})"


class ControllerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How runs are repeated and watched."""

    backoff: Backoff = Backoff()
    grace: timedelta = timedelta(seconds=5)
    """Between SIGTERM and SIGKILL."""
    poll_interval: timedelta = timedelta(milliseconds=250)
    """How often an unfinished job is polled; the end of a run is noticed at most this late."""
    error_interval: timedelta = timedelta(seconds=5)
    """How long to wait after a job's directory could not be used."""


class JobController:
    """The jobs below one directory. Nothing happens unless `watch` runs. Use it from one event loop only.

    Every call raises BackendUnavailableError when a directory cannot be used, or a run does not end.
    """

    def __init__(self, *, directory: Path, program: Program, clock: Clock, settings: ControllerSettings) -> None:
        """Control the jobs below `directory`, which no other controller may use at the same time."""
        self._directory = directory
        self._program = program
        self._clock = clock
        self._settings = settings
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._tracked: set[str] = set()
        self._adopted: set[str] = set()
        """Jobs of an earlier server that were tracked once; those that are done need not be again."""
        self._unknown = 0
        self._to_track: asyncio.Queue[str] = asyncio.Queue()
        self._is_stopping = False

    async def read(self, name: str) -> Job | None:
        """Read what is known of a job; None when there is none."""
        async with self._locked(name) as directory:
            return await asyncio.to_thread(job_files.read_job, directory)

    async def create(self, name: str, record: JobRecord) -> None:
        """Record a job, unless it exists already."""
        async with self._locked(name) as directory:
            await asyncio.to_thread(job_files.create_job, directory, record)
            self._track(name)

    async def remove(self, name: str) -> None:
        """End a job for good and return when its run has ended; a job that does not exist is fine."""
        async with self._locked(name) as directory:
            if await asyncio.to_thread(directory.exists):
                await self._remove(name, directory)

    async def adopt(self, read_uids: ReadUids) -> None:
        """Go on with the jobs of known syncs, and delete those of deleted ones with everything they left.

        All others are left alone: their syncs are in another database, which may come back.
        """
        names = await asyncio.to_thread(job_files.list_jobs, self._directory)
        # Read after the jobs were listed, so that a listed job without a sync cannot be a new one.
        known, deleted = ({build_job_name(uid) for uid in uids} for uids in await read_uids())
        for name in deleted.intersection(names):
            async with self._locked(name) as directory:
                await self._remove(name, directory)
                await asyncio.to_thread(job_files.delete_job, directory)
        for name in known.intersection(names) - self._adopted:
            self._track(name)
        self._adopted = known.intersection(names)
        self._report_unknown(len(set(names) - known - deleted))

    def _report_unknown(self, count: int) -> None:
        if count > self._unknown:
            logger.warning(
                "%d syncs below %s are not in this database; their logs are kept for the database that knows them",
                count,
                self._directory,
            )
        self._unknown = count

    async def watch(self, on_change: Callable[[str], None]) -> None:
        """Advance every job that was created or adopted, until cancelled.

        `on_change` is called with the sync's name when a job looks different.
        """
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._follow(await self._to_track.get(), on_change))

    async def interrupt(self) -> None:
        """End every run because the server stops, and start no other. Cancel `watch` after it."""
        self._is_stopping = True
        await asyncio.gather(*(self._interrupt(name) for name in list(self._tracked)))

    def _track(self, name: str) -> None:
        if name not in self._tracked:
            self._tracked.add(name)
            self._to_track.put_nowait(name)

    async def _follow(self, name: str, on_change: Callable[[str], None]) -> None:
        """Advance one job until there is nothing left to do about it."""
        shown = None
        while True:
            pause = self._settings.poll_interval
            try:
                job, step = await self._advance(name)
            except BackendUnavailableError as error:
                logger.warning("a job cannot be advanced now: %s", error, extra={"job_name": name})
                pause = self._settings.error_interval
            else:
                if job is not None and (observation := map_observation(job)) != shown:
                    shown = observation
                    on_change(job.record.sync_name)
                if step is Step.DONE:
                    # Before the next await, so that a job that is created again is tracked again.
                    self._tracked.discard(name)
                    return
            await asyncio.sleep(pause.total_seconds())

    async def _advance(self, name: str) -> tuple[Job | None, Step]:
        """Do what is due now; return what was read before it, and the step."""
        async with self._locked(name) as directory:
            job = await asyncio.to_thread(job_files.read_job, directory)
            if job is None:
                return None, Step.DONE
            if not any(run.is_alive for run in job.runs):
                await self._reap(name)
            if self._is_stopping:
                return job, Step.WAIT
            step = decide_step(job, now=self._clock.now(), backoff=self._settings.backoff)
            await self._act(name, directory, job, step)
            return job, step

    async def _act(self, name: str, directory: Path, job: Job, step: Step) -> None:
        if step is Step.START_RUN:
            await asyncio.to_thread(self._start_run, name, directory, job)
        elif step is Step.DEADLINE_EXCEEDED:
            await asyncio.to_thread(job_files.write_marker, directory, job_files.DEADLINE)
            await self._end_run(name, directory)
        elif step is Step.END_RUN:
            await self._end_run(name, directory)

    def _start_run(self, name: str, directory: Path, job: Job) -> None:
        number = next_run_number(job)
        run = job_files.prepare_run(directory, number)
        own = {TERMINATION_MESSAGE_PATH: str(run / job_files.TERMINATION_MESSAGE)}
        environment = {**self._program.environment, **job.record.environment, **own}
        self._children[name] = run_processes.start_run(run, self._program.command, environment)
        logger.info("run %d starts", number, extra={"sync_id": job.record.sync_name})

    async def _interrupt(self, name: str) -> None:
        try:
            async with self._locked(name) as directory:
                run = await asyncio.to_thread(job_files.find_newest_run, directory)
                if run is not None and await asyncio.to_thread(job_files.is_alive, run):
                    await asyncio.to_thread(job_files.write_marker, run, job_files.INTERRUPTED)
                await self._end_run(name, directory)
        except BackendUnavailableError as error:
            logger.warning("a run is left behind; the next start adopts it: %s", error, extra={"job_name": name})

    async def _remove(self, name: str, directory: Path) -> None:
        await asyncio.to_thread(job_files.write_marker, directory, job_files.REMOVED)
        await self._end_run(name, directory)

    async def _end_run(self, name: str, directory: Path) -> None:
        run = await asyncio.to_thread(job_files.find_newest_run, directory)
        if run is not None:
            await run_processes.end_run(run, grace=self._settings.grace)
        await self._reap(name)

    async def _reap(self, name: str) -> None:
        """Collect a child process that has ended; its outcome is on disk."""
        if child := self._children.pop(name, None):
            await asyncio.to_thread(child.wait)

    @contextlib.asynccontextmanager
    async def _locked(self, name: str) -> AsyncIterator[Path]:
        """Hold a job exclusively, and raise the reconciler's error when its directory or its run fails."""
        async with self._locks[name]:
            try:
                yield self._directory / name
            except (OSError, run_processes.StubbornRunError) as error:
                raise BackendUnavailableError(str(error)) from error


class ProcessJobs:
    """The reconciler's JobRunner of one machine."""

    def __init__(
        self,
        *,
        directory: Path,
        controller: JobController,
        clock: Clock,
        format_trace: Callable[[EstimateSync], str | None] = lambda _: None,
    ) -> None:
        """Show the controller's jobs, which lie below `directory`; `format_trace` gives a job its trace context."""
        self._directory = directory
        self._controller = controller
        self._clock = clock
        self._format_trace = format_trace

    async def observe(self, sync: EstimateSync, *, has_result: bool = False, knows_pod: bool = False) -> JobObservation:  # noqa: ARG002 - a look costs nothing here
        job = await self._controller.read(build_job_name(sync.uid))
        if job is None:
            return ABSENT_JOB
        if job.record.sync_uid != sync.uid:
            return JobObservation(state=JobState.FOREIGN)
        return map_observation(job)

    async def create(self, sync: EstimateSync, date_range: DateRange) -> None:
        """Record the job. One that was removed stays removed: a sync has only ever one job."""
        record = JobRecord(
            sync_name=sync.name,
            sync_uid=sync.uid,
            created_at=self._clock.now(),
            timeout_seconds=sync.options.timeout_seconds,
            max_retries=sync.options.max_retries,
            environment=build_job_environment(sync, date_range, traceparent=self._format_trace(sync)),
        )
        await self._controller.create(build_job_name(sync.uid), record)

    async def has_stray(self, sync: EstimateSync) -> bool:  # noqa: ARG002 - the port's
        """Never: a job is created at once or not at all."""
        return False

    async def stop(self, sync: EstimateSync) -> None:
        """End the job. Its log stays readable until the sync is deleted."""
        await self._controller.remove(build_job_name(sync.uid))

    async def stop_run(self, sync: EstimateSync, pod: PodIdentity) -> None:
        """Nothing to do: a run of one machine is one process, which nothing can outlive."""

    async def remove_leftovers(self, name: str) -> None:
        """Nothing to do: the reconcile loop has the jobs of every sync that is gone deleted, by uid."""

    async def read_log_tail(self, sync: EstimateSync, *, pod_name: str | None = None) -> tuple[str, ...]:  # noqa: ARG002 - the newest run is the one
        job = self._directory / build_job_name(sync.uid)
        try:
            return await asyncio.to_thread(job_files.read_newest_log, job, last_bytes=_TAIL_BYTES)
        except OSError:
            return ()

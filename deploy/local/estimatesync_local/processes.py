"""The one-machine side of the reconciler's JobRunner: shows it jobs made of child processes as Kubernetes Jobs.

Called by the reconciler only. `job_keeper.py` keeps the jobs going, with or without anybody asking.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.job_environment import build_job_environment
from estimatesync_contract.names import build_job_name
from estimatesync_contract.spec import DateRange
from estimatesync_operator.core.job_observation import ABSENT_JOB, JobObservation, JobState
from estimatesync_operator.ports import Clock

from estimatesync_local import job_directory
from estimatesync_local.job_decisions import map_observation
from estimatesync_local.job_facts import JobRecord
from estimatesync_local.job_keeper import JobKeeper

_TAIL_BYTES: Final = 64 * 1024


class ProcessJobs:
    """See JobRunner for what each call promises."""

    def __init__(
        self,
        *,
        directory: Path,
        keeper: JobKeeper,
        clock: Clock,
        format_trace: Callable[[EstimateSync], str | None] = lambda _: None,
    ) -> None:
        """Read the jobs below `directory`, the keeper's own; `format_trace` tells a job where it belongs."""
        self._directory = directory
        self._keeper = keeper
        self._clock = clock
        self._format_trace = format_trace

    async def observe(self, sync: EstimateSync) -> JobObservation:
        """Look at the job's directory."""
        job = await self._keeper.read(build_job_name(sync.uid))
        if job is None:
            return ABSENT_JOB
        if job.record.sync_uid != sync.uid:
            return JobObservation(state=JobState.FOREIGN)
        return map_observation(job)

    async def create(self, sync: EstimateSync, date_range: DateRange) -> None:
        """Write the job down. One that was removed stays removed: a sync has one job, ever."""
        record = JobRecord(
            sync_name=sync.name,
            sync_uid=sync.uid,
            created_at=self._clock.now(),
            timeout_seconds=sync.spec.timeout_seconds,
            max_retries=sync.spec.max_retries,
            environment=build_job_environment(sync, date_range, traceparent=self._format_trace(sync)),
        )
        await self._keeper.create(build_job_name(sync.uid), record)

    async def stop(self, sync: EstimateSync) -> None:
        """End the job. Its log stays readable until the sync is deleted."""
        await self._keeper.remove(build_job_name(sync.uid))

    async def remove_leftovers(self, name: str) -> None:
        """Nothing to do: the engine has the keeper delete the jobs of every sync that is gone, by uid."""

    async def read_log_tail(self, sync: EstimateSync) -> tuple[str, ...]:
        """Read the end of the newest run's log."""
        job = self._directory / build_job_name(sync.uid)
        try:
            return await asyncio.to_thread(job_directory.read_log, job, last_bytes=_TAIL_BYTES)
        except OSError:
            return ()

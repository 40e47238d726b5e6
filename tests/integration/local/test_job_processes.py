"""Jobs as real child processes: programs are short shell scripts, time limits are fractions of a second."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.names import build_job_name
from estimatesync_contract.spec import DateRange, EstimateSyncSpec
from estimatesync_local.adapters import job_files
from estimatesync_local.adapters.job_controller import ControllerSettings, JobController, ProcessJobs, Program
from estimatesync_local.core.job_logic import Backoff
from estimatesync_operator.core.job_observation import ABSENT_JOB, JobObservation, JobState

WAIT_SECONDS = 60.0
DAYS = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
SECRET = "made-up-password"
SLEEPS = "echo here; exec sleep 30"


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Machine:
    """One server's controller and the jobs it shows."""

    def __init__(self, directory: Path, script: str) -> None:
        settings = ControllerSettings(
            backoff=Backoff(first_delay=timedelta(milliseconds=50), longest_delay=timedelta(milliseconds=100)),
            grace=timedelta(milliseconds=300),
            poll_interval=timedelta(milliseconds=20),
            error_interval=timedelta(milliseconds=50),
        )
        environment = {"PATH": os.environ["PATH"], "SECRET": SECRET}
        self.program = Program(command=("/bin/sh", "-c", script), environment=environment)
        clock = SystemClock()
        self.directory = directory
        self.controller = JobController(directory=directory, program=self.program, clock=clock, settings=settings)
        self.jobs = ProcessJobs(directory=directory, controller=self.controller, clock=clock)
        self.changes: list[str] = []

    @asynccontextmanager
    async def watching(self, *, is_killed: bool = False) -> AsyncIterator[None]:
        """Watch as a server does, and stop as one does: it ends the runs, unless it is killed."""
        watch = asyncio.create_task(self.controller.watch(self.changes.append))
        await self.adopt(self.list_uids())
        try:
            yield
        finally:
            if not is_killed:
                await self.controller.interrupt()
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def adopt(self, known: list[str], deleted: tuple[str, ...] = ()) -> None:
        async def read_uids() -> tuple[list[str], tuple[str, ...]]:
            return known, deleted

        await self.controller.adopt(read_uids)

    def list_uids(self) -> list[str]:
        """The uids of all jobs on disk."""
        jobs = [job_files.read_job(record.parent) for record in self.directory.glob("*/job.json")]
        return [job.record.sync_uid for job in jobs if job]

    async def wait_for(self, sync: EstimateSync, is_it: Callable[[JobObservation], bool]) -> JobObservation:
        async with asyncio.timeout(WAIT_SECONDS):
            while not is_it(observation := await self.jobs.observe(sync)):  # noqa: ASYNC110 - a process sets no event
                await asyncio.sleep(0.02)
        return observation

    async def wait_for_line(self, sync: EstimateSync, line: str) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while line not in await self.jobs.read_log_tail(sync):  # noqa: ASYNC110 - a file sets no event
                await asyncio.sleep(0.02)


def build_sync(uid: str = "0d5a", **spec: Any) -> EstimateSync:
    return EstimateSync(metadata=Metadata(name="a", uid=uid), spec=EstimateSyncSpec(**spec))


def is_over(observation: JobObservation) -> bool:
    return observation.state in {JobState.SUCCEEDED, JobState.FAILED}


def is_active(observation: JobObservation) -> bool:
    return observation.state is JobState.ACTIVE


async def run_to_its_end(machine: Machine, sync: EstimateSync) -> JobObservation:
    async with machine.watching():
        await machine.jobs.create(sync, DAYS)
        return await machine.wait_for(sync, is_over)


def test_a_run_leaves_its_exit_code_its_message_and_its_log(tmp_path: Path) -> None:
    script = 'echo "🔍 for $SYNC_ID from $SYNC_START_DATE"; printf done > "$TERMINATION_MESSAGE_PATH"'
    machine = Machine(tmp_path, script)

    observation = asyncio.run(run_to_its_end(machine, build_sync()))

    assert (observation.state, observation.exit_code) == (JobState.SUCCEEDED, 0)
    assert (observation.termination_message, observation.container_reason) == ("done", "Completed")
    assert observation.finished_at is not None
    assert datetime.now(UTC) - observation.finished_at < timedelta(seconds=5)
    assert asyncio.run(machine.jobs.read_log_tail(build_sync())) == ("🔍 for a from 2025-09-01",)
    assert set(machine.changes) == {"a"}


def test_a_failed_run_is_repeated_until_no_more_are_allowed(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "echo tried; exit 10")

    observation = asyncio.run(run_to_its_end(machine, build_sync(max_retries=2)))

    assert (observation.state, observation.failure_reason) == (JobState.FAILED, "BackoffLimitExceeded")
    assert (observation.failed_runs, observation.exit_code) == (3, 10)
    assert observation.termination_message == ""


def test_a_permanent_failure_is_not_repeated(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "exit 20")

    observation = asyncio.run(run_to_its_end(machine, build_sync(max_retries=2)))

    assert (observation.failure_reason, observation.failed_runs) == ("PodFailurePolicy", 1)


def test_the_deadline_ends_a_run_that_ignores_sigterm(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "trap '' TERM; while :; do sleep 1; done")

    observation = asyncio.run(run_to_its_end(machine, build_sync(timeout_seconds=1)))

    assert (observation.state, observation.failure_reason) == (JobState.FAILED, "DeadlineExceeded")
    assert observation.termination_message is None


def test_creating_a_job_again_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> JobObservation:
        async with machine.watching():
            for _ in range(3):
                await machine.jobs.create(sync, DAYS)
            await machine.wait_for(sync, is_over)
            await machine.jobs.create(sync, DAYS)
            return await machine.wait_for(sync, is_over)

    machine, sync = Machine(tmp_path, "echo ran"), build_sync()

    observation = asyncio.run(scenario())

    assert observation.state is JobState.SUCCEEDED
    assert [run.name for run in (tmp_path / build_job_name(sync.uid) / "runs").iterdir()] == ["1"]


def test_a_stopped_job_ends_its_run_and_never_comes_back(tmp_path: Path) -> None:
    async def scenario() -> tuple[JobObservation, tuple[str, ...]]:
        async with machine.watching():
            await machine.jobs.create(sync, DAYS)
            await machine.wait_for_line(sync, "here")
            await machine.jobs.stop(sync)
            await machine.jobs.stop(sync)
            await machine.jobs.create(sync, DAYS)
        return await machine.jobs.observe(sync), await machine.jobs.read_log_tail(sync)

    machine, sync = Machine(tmp_path, SLEEPS), build_sync()

    observation, log = asyncio.run(scenario())

    assert observation == ABSENT_JOB
    assert log == ("here",)
    assert not_running(read_pid(tmp_path, sync))


def test_stopping_a_job_that_is_not_there_is_fine(tmp_path: Path) -> None:
    machine = Machine(tmp_path, SLEEPS)

    asyncio.run(machine.jobs.stop(build_sync()))

    assert asyncio.run(machine.jobs.observe(build_sync())) == ABSENT_JOB


def test_a_server_that_was_killed_leaves_the_run_to_the_next_one(tmp_path: Path) -> None:
    async def scenario() -> JobObservation:
        async with first.watching(is_killed=True):
            await first.jobs.create(sync, DAYS)
            await first.wait_for_line(sync, "begun")
        async with second.watching():
            await second.wait_for(sync, is_active)
            (tmp_path / "go").touch()
            observation = await second.wait_for(sync, is_over)
        # A server that was really killed has no children left to collect.
        await first.controller.interrupt()
        return observation

    script = f"echo begun; until [ -e {tmp_path}/go ]; do sleep 0.05; done"
    first, second, sync = Machine(tmp_path / "jobs", script), Machine(tmp_path / "jobs", "exit 20"), build_sync()

    observation = asyncio.run(scenario())

    assert (observation.state, observation.failed_runs) == (JobState.SUCCEEDED, 0)


def test_a_stopped_server_takes_its_runs_along_and_the_next_one_begins_them_again(tmp_path: Path) -> None:
    async def scenario() -> JobObservation:
        async with first.watching():
            await first.jobs.create(sync, DAYS)
            await first.wait_for_line(sync, "here")
        assert (await first.jobs.observe(sync)).state is JobState.PENDING
        async with second.watching():
            return await second.wait_for(sync, is_over)

    first, second, sync = Machine(tmp_path, SLEEPS), Machine(tmp_path, "echo again"), build_sync(max_retries=0)

    observation = asyncio.run(scenario())

    assert (observation.state, observation.failed_runs) == (JobState.SUCCEEDED, 0)
    assert asyncio.run(second.jobs.read_log_tail(sync)) == ("again",)


@pytest.mark.parametrize("is_whole_group", [pytest.param(True, id="wrapper-too"), pytest.param(False, id="program")])
def test_a_run_that_was_killed_is_repeated(tmp_path: Path, *, is_whole_group: bool) -> None:
    async def scenario() -> JobObservation:
        async with machine.watching():
            await machine.jobs.create(sync, DAYS)
            await machine.wait_for_line(sync, "begun")
            group = read_pid(tmp_path / "jobs", sync)
            (os.killpg if is_whole_group else kill_child)(group, signal.SIGKILL)
            return await machine.wait_for(sync, is_over)

    script = f"if [ -e {tmp_path}/second ]; then exit 0; fi; touch {tmp_path}/second; echo begun; exec sleep 30"
    machine, sync = Machine(tmp_path / "jobs", script), build_sync()

    observation = asyncio.run(scenario())

    assert (observation.state, observation.failed_runs) == (JobState.SUCCEEDED, 1)


def test_the_job_of_a_deleted_sync_is_removed_with_all_it_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with machine.watching():
            for sync in (gone, kept):
                await machine.jobs.create(sync, DAYS)
                await machine.wait_for_line(sync, "here")
            await machine.adopt(["kept"], ("gone", "long-gone"))
            await machine.wait_for(kept, is_active)

    machine, gone, kept = Machine(tmp_path, SLEEPS), build_sync("gone"), build_sync("kept")

    asyncio.run(scenario())

    assert [job.name for job in tmp_path.iterdir()] == [build_job_name("kept")]


def test_a_job_whose_sync_another_database_knows_is_neither_run_nor_deleted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave() -> None:
        async with first.watching():
            await first.jobs.create(sync, DAYS)
            await first.wait_for_line(sync, "here")

    async def use_another_database() -> None:
        watch = asyncio.create_task(second.controller.watch(second.changes.append))
        for _ in range(3):
            await second.adopt(["other"])
            await asyncio.sleep(0.1)
        await second.controller.interrupt()
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)

    first, second, third = Machine(tmp_path, SLEEPS), Machine(tmp_path, "echo wrong"), Machine(tmp_path, "echo back")
    sync = build_sync(max_retries=0)

    asyncio.run(leave())
    asyncio.run(use_another_database())
    asyncio.run(run_to_its_end(third, sync))

    assert asyncio.run(third.jobs.read_log_tail(sync)) == ("back",)
    assert second.changes == []
    assert caplog.text.count("are not in this database; their logs are kept") == 1


def test_no_secret_is_left_on_disk_or_on_a_command_line(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 'echo "$0 $* ${#SECRET}"')

    asyncio.run(run_to_its_end(machine, build_sync()))

    assert asyncio.run(machine.jobs.read_log_tail(build_sync())) == (f"/bin/sh  {len(SECRET)}",)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []
    assert SECRET not in repr(machine.program)


def test_trouble_with_a_directory_delays_the_job_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> JobObservation:
        async with machine.watching():
            await machine.jobs.create(sync, DAYS)
            async with asyncio.timeout(WAIT_SECONDS):
                while "a job cannot be advanced now" not in caplog.text:  # noqa: ASYNC110 - a log sets no event
                    await asyncio.sleep(0.02)
            runs.unlink()
            return await machine.wait_for(sync, is_over)

    machine, sync = Machine(tmp_path, "exit 0"), build_sync()
    runs = tmp_path / build_job_name(sync.uid) / "runs"
    runs.parent.mkdir(parents=True)
    runs.write_text("not a directory")

    observation = asyncio.run(scenario())

    assert (observation.state, observation.failed_runs) == (JobState.SUCCEEDED, 0)


def test_a_damaged_record_counts_as_no_job(tmp_path: Path) -> None:
    machine, sync = Machine(tmp_path, "exit 0"), build_sync()
    job = tmp_path / build_job_name(sync.uid)
    job.mkdir()
    (job / "job.json").write_bytes(b"")

    before = asyncio.run(machine.jobs.observe(sync))
    after = asyncio.run(run_to_its_end(machine, sync))

    assert (before, after.state) == (ABSENT_JOB, JobState.SUCCEEDED)


def test_the_tail_of_a_long_log_has_whole_lines_only(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 'i=0; while [ $i -lt 9000 ]; do echo "✅ line $i"; i=$((i+1)); done')

    asyncio.run(run_to_its_end(machine, build_sync()))
    tail = asyncio.run(machine.jobs.read_log_tail(build_sync()))

    assert tail == tuple(f"✅ line {number}" for number in range(9000 - len(tail), 9000))
    assert 1000 < len(tail) < 9000


def read_pid(directory: Path, sync: EstimateSync) -> int:
    return int((directory / build_job_name(sync.uid) / "runs" / "1" / "started").read_text())


def kill_child(parent: int, number: signal.Signals) -> None:
    child = subprocess.run(["/bin/ps", "-o", "pid=", "--ppid", str(parent)], check=True, capture_output=True, text=True)
    os.kill(int(child.stdout), number)


def not_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False

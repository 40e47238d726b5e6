"""A job on disk: one directory for the job, one for each run, and nothing that exists only in memory.

So a server that was killed finds every job again. A run is alive as long as its program holds the lock on the run's
`lock` file (`file_lock.py`). All calls block; callers make them in threads.

    <job name>/job.json   removed   deadline        (markers: empty files, their time is when it happened)
    <job name>/runs/1/    lock   started   exit   interrupted   termination-message   log
"""

import contextlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from estimatesync_api.core.ports import LogCursor, LogPart
from estimatesync_contract.result import RESULT_MAX_BYTES

from estimatesync_local.adapters import file_lock
from estimatesync_local.core.job_logic import Job, JobRecord, Run

RECORD: Final = "job.json"
REMOVED: Final = "removed"
DEADLINE: Final = "deadline"
RUNS: Final = "runs"

LOCK: Final = "lock"
STARTED: Final = "started"
EXIT: Final = "exit"
INTERRUPTED: Final = "interrupted"
TERMINATION_MESSAGE: Final = "termination-message"
LOG: Final = "log"

TAIL_LINES: Final = 1000
"""Of each run, in the response to a caller that waited for the sync."""

_PART_BYTES: Final = 1024 * 1024


def list_jobs(jobs: Path) -> tuple[str, ...]:
    """List the names of all jobs below the directory of jobs."""
    return tuple(sorted(record.parent.name for record in jobs.glob(f"*/{RECORD}")))


def create_job(job: Path, record: JobRecord) -> None:
    """Write the record, whole or not at all; one that exists already is left alone."""
    # Their names are nobody else's business either; `parents` alone would open the directory of all jobs.
    job.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    job.mkdir(mode=0o700, exist_ok=True)
    if _read_record(job) is None:
        _write_whole(job / RECORD, msgspec.json.encode(record))


def read_job(job: Path) -> Job | None:
    """Read everything that is known of a job; None when there is none, or its record is damaged.

    Raises:
        OSError: It cannot be read at the moment.
    """
    record = _read_record(job)
    if record is None:
        return None
    return Job(
        record=record,
        runs=tuple(_read_run(run) for run in list_runs(job)),
        is_removed=(job / REMOVED).exists(),
        deadline_exceeded_at=_read_time(job / DEADLINE),
    )


def prepare_run(job: Path, number: int) -> Path:
    """Create the directory of a run that is about to start."""
    run = job / RUNS / str(number)
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    return run


def write_marker(directory: Path, marker: str) -> None:
    """Set a marker; one that is set already keeps its time."""
    with contextlib.suppress(FileExistsError):
        (directory / marker).touch(exist_ok=False)


def delete_job(job: Path) -> None:
    """Remove everything about a job."""
    shutil.rmtree(job, ignore_errors=True)


def is_alive(run: Path) -> bool:
    """Check whether the program, or anything it started, still runs."""
    return file_lock.is_held(run / LOCK)


def list_runs(job: Path) -> list[Path]:
    """List the directories of a job's runs, the oldest first."""
    return sorted((job / RUNS).glob("[0-9]*"), key=lambda run: int(run.name))


def find_newest_run(job: Path) -> Path | None:
    """The directory of the newest run; None before the first."""
    runs = list_runs(job)
    return runs[-1] if runs else None


def read_group(run: Path) -> int | None:
    """Read the process group of a run; None before it has started."""
    try:
        return int((run / STARTED).read_text())
    except (FileNotFoundError, ValueError):
        return None


def read_newest_log(job: Path, *, last_bytes: int) -> tuple[str, ...]:
    """Read the last lines that the newest run printed, as many whole lines as fit into so many bytes.

    Raises:
        OSError: It cannot be read.
    """
    run = find_newest_run(job)
    if run is None or not (run / LOG).exists():
        return ()
    with (run / LOG).open("rb") as log:
        size = log.seek(0, 2)
        start = max(0, size - last_bytes)
        log.seek(start)
        lines = log.read().splitlines()
    return tuple(line.decode(errors="replace") for line in lines[1 if start else 0 :])


def _read_record(job: Path) -> JobRecord | None:
    try:
        return msgspec.json.decode((job / RECORD).read_bytes(), type=JobRecord)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _read_run(run: Path) -> Run:
    # The lock comes first: what is read once it is free is final.
    alive = is_alive(run)
    exit_code = None if alive else _read_exit_code(run)
    return Run(
        number=int(run.name),
        prepared_at=_read_time(run) or datetime.now(UTC),
        started_at=_read_time(run / STARTED),
        is_alive=alive,
        is_interrupted=(run / INTERRUPTED).exists(),
        exit_code=exit_code,
        finished_at=None if alive else _read_time(run / EXIT) or _read_time(run / LOG),
        termination_message="" if alive else _read_termination_message(run),
    )


def _read_exit_code(run: Path) -> int | None:
    try:
        return int((run / EXIT).read_text())
    except (FileNotFoundError, ValueError):
        return None


def _read_termination_message(run: Path) -> str:
    """Read as much as a kubelet would keep."""
    try:
        with (run / TERMINATION_MESSAGE).open("rb") as message:
            return message.read(RESULT_MAX_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _read_time(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def _write_whole(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_run_tails(job: Path) -> tuple[str, ...]:
    """Read the end of each run's log, the oldest run first; a log that cannot be read counts as empty."""
    tails = [_read(run, 0)[0][-TAIL_LINES:] for run in list_runs(job)]
    return tuple(line for tail in tails for line in tail)


def read_run_part(job: Path, cursor: LogCursor | None) -> LogPart:
    """Read on from the cursor, which is a run and a number of bytes; at most about a megabyte, and only whole lines.

    A log that cannot be read counts as empty: its sync may have been deleted.
    """
    begin = int(cursor.source) if cursor else 0
    for run in list_runs(job):
        number = int(run.name)
        if number < begin:
            continue
        offset = cursor.count if cursor and number == begin else 0
        lines, length = _read(run, offset, _PART_BYTES)
        if lines:
            return LogPart(lines=tuple(lines), cursor=LogCursor(source=run.name, count=offset + length))
    return LogPart(cursor=cursor)


def _read(run: Path, offset: int, limit: int = -1) -> tuple[list[str], int]:
    """Lines from the offset, and how many bytes they are. The last one may be cut only where nothing will follow."""
    # Checked before reading, so that what is printed before the end is still read. The run's lock is not checked here:
    # that, from another process, could keep a run from starting.
    is_ended = (run / EXIT).exists()
    try:
        with (run / LOG).open("rb") as log:
            log.seek(offset)
            text = log.read(limit)
            is_all = is_ended and log.read(1) == b""
    except OSError:
        return [], 0
    end = text.rfind(b"\n") + 1
    if is_all or (not end and len(text) == limit):
        end = len(text)
    return _split(text[:end]), end


def _split(text: bytes) -> list[str]:
    return text.removesuffix(b"\n").decode(errors="replace").split("\n") if text else []

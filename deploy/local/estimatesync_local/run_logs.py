"""Reads the logs of a job's runs for the API: the end of each, or on and on from where a reader was.

All calls block; `stores.py` makes them in threads. A log that cannot be read counts as empty: its sync may be gone.
"""

from pathlib import Path
from typing import Final

from estimatesync_api.ports import LogMark, LogPart

from estimatesync_local.job_directory import EXIT, LOG, list_runs

TAIL_LINES: Final = 1000
"""Of each run, in the answer to a caller who waited."""

_PART_BYTES: Final = 1024 * 1024


def read_run_tails(job: Path) -> tuple[str, ...]:
    """Read the end of each run's log, the oldest run first."""
    tails = [_read(run, 0)[0][-TAIL_LINES:] for run in list_runs(job)]
    return tuple(line for tail in tails for line in tail)


def read_run_part(job: Path, mark: LogMark | None) -> LogPart:
    """Read on from the mark, which is a run and a number of bytes; at most about a megabyte, and only whole lines."""
    begin = int(mark.source) if mark else 0
    for run in list_runs(job):
        number = int(run.name)
        if number < begin:
            continue
        offset = mark.count if mark and number == begin else 0
        lines, length = _read(run, offset, _PART_BYTES)
        if lines:
            return LogPart(lines=tuple(lines), mark=LogMark(source=run.name, count=offset + length))
    return LogPart(mark=mark)


def _read(run: Path, offset: int, limit: int = -1) -> tuple[list[str], int]:
    """Lines from the offset, and how many bytes they are. The last one may be cut only where nothing will follow."""
    # Asked before reading: what is printed before the end is then still read. And not by the run's lock: a look at
    # that one, from another process, could keep a run from starting.
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

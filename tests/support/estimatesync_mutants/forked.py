"""Work in forked processes, several beside each other, each with a limit of time and of memory.

A fork begins with everything that this process has imported, and whatever it breaks is gone with it.
"""

import contextlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

Item = TypeVar("Item")

_POLL_SECONDS: Final = 0.01
_MEMORY_BYTES: Final = 4 * 1024**3
"""A changed loop may fill a list for ever."""


@dataclass(frozen=True, kw_only=True)
class Task(Generic[Item]):
    """What one process does.

    Attributes:
        item: what it is about; comes back with the answer.
        work: returns a value for JSON.
        processor_seconds, seconds: how much of the processor's and of anybody's time it may take.
    """

    item: Item
    work: Callable[[], Any]
    processor_seconds: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[Item]):
    """What came of it: a value, or None for a process that had to be ended or died."""

    item: Item
    value: Any


@dataclass(frozen=True, kw_only=True)
class _Process(Generic[Item]):
    task: Task[Item]
    pid: int
    result: Path
    deadline: float


def run_all(tasks: Iterable[Task[Item]], *, jobs: int, directory: Path) -> Iterator[Answer[Item]]:
    """Run every task, as many at a time as `jobs`, and yield their answers as they come; logs stay in the directory."""
    waiting, running = iter(enumerate(tasks)), list[_Process[Item]]()
    while True:
        while len(running) < jobs and (following := next(waiting, None)):
            number, task = following
            running.append(_start(task, directory / str(number)))
        if not running:
            return
        for process in [process for process in running if _is_over(process)]:
            running.remove(process)
            yield Answer(item=process.task.item, value=_read(process.result))
        time.sleep(_POLL_SECONDS)


def _start(task: Task[Item], path: Path) -> _Process[Item]:
    result = path.with_suffix(".json")
    result.unlink(missing_ok=True)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        _work(task, result, path.with_suffix(".log"))
    return _Process(task=task, pid=pid, result=result, deadline=time.monotonic() + task.seconds)


def _work(task: Task[Item], result: Path, log: Path) -> None:
    """Never return: what called this belongs to the other process."""
    try:
        # A group of its own, so that whatever a test has started ends with it.
        os.setpgid(0, 0)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        resource.setrlimit(resource.RLIMIT_CPU, (task.processor_seconds, task.processor_seconds + 1))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        result.write_text(json.dumps(task.work()))
    except BaseException:  # noqa: BLE001 - a fork of a fork must not go on with its parent's work
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(0)


def _is_over(process: _Process[Item]) -> bool:
    ended, _ = os.waitpid(process.pid, os.WNOHANG)
    if ended:
        _end_group(process.pid)
        return True
    if time.monotonic() > process.deadline:
        _end_group(process.pid)
        os.waitpid(process.pid, 0)
        process.result.unlink(missing_ok=True)
        return True
    return False


def _end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _read(result: Path) -> Any:
    text = result.read_text() if result.exists() else ""
    with contextlib.suppress(json.JSONDecodeError):
        return json.loads(text)
    return None

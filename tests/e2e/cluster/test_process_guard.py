"""A guarded program ends with its holder, and takes everything it started along."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from estimatesync_processes.forked_process import PROCESS_GUARD


def start(script: str, marker: str = "", *, stdout: int | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", str(PROCESS_GUARD), "sh", "-c", script]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=stdout, env={"PATH": os.defpath, "MARKER": marker}, bufsize=0
    )


@pytest.mark.parametrize(
    ("script", "exit_code"),
    [
        pytest.param("exit 0", 0, id="success"),
        pytest.param("exit 7", 7, id="failure"),
        pytest.param("kill -KILL $$", 137, id="signal"),
        pytest.param("exec /no/such/program", 127, id="not found"),
    ],
)
def test_exit_code_is_a_shells(script: str, exit_code: int) -> None:
    with start(script) as guard:
        ended_with = guard.wait(timeout=90)

    assert ended_with == exit_code


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("sleep 300", id="the program"),
        pytest.param("sleep 300 & sleep 300 & wait", id="children"),
        pytest.param("setsid sleep 300 & setsid sh -c 'sleep 300 & sleep 300' & wait", id="those who left its group"),
        pytest.param("trap '' TERM HUP INT; sleep 300; sleep 300", id="one that ignores signals"),
    ],
)
def test_letting_go_ends_everything(
    script: str, marker: str, find_processes: Callable[[str], list[int]], eventually: Callable[..., None]
) -> None:
    with start(script, marker) as guard:
        assert guard.stdin is not None
        eventually("the program and a child", lambda: find_processes(marker), until=lambda found: len(found) > 1)

        guard.stdin.close()

        assert guard.wait(timeout=90) == 137
    assert find_processes(marker) == []


def test_orphans_end_with_the_program(marker: str, find_processes: Callable[[str], list[int]]) -> None:
    with start("setsid sleep 300 & exit 3", marker) as guard:
        exit_code = guard.wait(timeout=90)

    assert exit_code == 3
    assert find_processes(marker) == []


def test_signals_are_passed_on() -> None:
    script = "trap 'exit 5' TERM; echo ready; sleep 300 & wait"
    with start(script, stdout=subprocess.PIPE) as guard:
        assert guard.stdin is not None
        assert guard.stdout is not None
        # Only a shell that has set its trap says so.
        assert guard.stdout.read(6) == b"ready\n"

        guard.stdin.write(bytes([signal.SIGTERM]))

        assert guard.wait(timeout=90) == 5

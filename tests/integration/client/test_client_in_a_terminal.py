"""What a person sees: the console script in a terminal of its own, eighty columns wide."""

import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).with_name("estimatesync")
WAIT_SECONDS = 60.0
COLUMNS = 80
STARTED = {"success": True, "message": "Started.", "status": "processing", "sync_id": "est-1"}
QUEUED = {"success": True, "sync_id": "est-1", "status": "queued", "message": "Waiting for [est-0] :smile:"}
PAGE = {"page": 9, "total_pages": 17, "fetched": 900, "percent": 52, "text": "9/17"}
RUNNING = {"success": True, "sync_id": "est-1", "status": "running", "reason": "Running", "progress": PAGE}
RESULTS = {"new_estimates": 45, "updated_estimates": 1564, "unchanged_estimates": 1500}
DAYS = {"start_date": "2025-09-01", "end_date": "2025-10-16"}
DONE = {"success": True, "sync_id": "est-1", "status": "succeeded", "results": RESULTS, "date_range": DAYS}


class Terminal:
    """A pseudo terminal with a program in it."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str], *, columns: int = COLUMNS) -> None:
        self._ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.process = subprocess.Popen(
            [PROGRAM, *arguments],
            env=environment | {"TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.raw = ""

    def read_until(self, text: str) -> None:
        """Read until something is shown."""
        deadline = time.monotonic() + WAIT_SECONDS
        while text not in self.shown:
            assert time.monotonic() < deadline, f"never shown: {text}\n{self.shown}"
            assert self._read(), f"ended without {text}:\n{self.shown}"

    def end(self) -> int:
        """Read to the end."""
        while self._read():
            pass
        os.close(self._ours)
        return self.process.wait(WAIT_SECONDS)

    def _read(self) -> bool:
        try:
            piece = os.read(self._ours, 65_536)
        except OSError:  # the other side is closed
            return False
        self.raw += piece.decode()
        return bool(piece)

    @property
    def shown(self) -> str:
        """All texts, also those that were painted over, without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw)


@pytest.fixture
def environment(client: Callable[..., Any]) -> dict[str, str]:
    made: dict[str, str] = client("http://127.0.0.1:1").environment
    del made["NO_COLOR"]
    return made


def test_a_wait_shows_a_bar_what_is_waited_for_and_the_outcome(
    act: Callable[..., Any], environment: dict[str, str]
) -> None:
    server = act((202, STARTED), (200, QUEUED), (200, QUEUED), (200, RUNNING), (200, DONE))

    terminal = Terminal(("start", "--wait"), environment | {"ESTIMATESYNC_URL": server.url})

    assert terminal.end() == 0
    assert terminal.shown.count("Waiting for [est-0] :smile:\r\n") == 1
    assert re.search(r"running   ━+╺━+  52%  page 9/17  900 estimates  0:00:\d\d", terminal.shown)
    *_, bar, name, outcome, days = terminal.shown.splitlines()
    assert bar.startswith("succeeded ━━━━━━━━━━━━━━━━━━━━")
    assert (name, outcome) == ("est-1", "✔ succeeded  45 new, 64 changed, 1,500 unchanged")
    assert days == "  Days  2025-09-01 to 2025-10-16"
    assert max(map(len, re.split(r"[\r\n]+", terminal.shown))) <= COLUMNS


def test_a_narrow_terminal_shows_a_wait_in_one_line_and_a_list_without_cuts(
    act: Callable[..., Any], environment: dict[str, str]
) -> None:
    waited = act((202, STARTED), (200, RUNNING), (200, DONE))
    listed = act((200, {"success": True, "syncs": [DONE], "next_cursor": None}))

    wait = Terminal(("start", "--wait"), environment | {"ESTIMATESYNC_URL": waited.url}, columns=60)
    table = Terminal(("list",), environment | {"ESTIMATESYNC_URL": listed.url}, columns=60)

    assert (wait.end(), table.end()) == (0, 0)
    assert re.search(r"running   ━*╺?━*  52%  page 9/17  900 estimates  0:00:\d\d", wait.shown)
    assert [" ".join(line.split()) for line in table.shown.splitlines()] == [
        "ID STATUS RESULT CALL AGE",
        "est-1 succeeded 45 new, 64 changed - -",
    ]


def test_a_watched_list_is_shown_in_its_place(act: Callable[..., Any], environment: dict[str, str]) -> None:
    running, done = ({"success": True, "syncs": [sync], "next_cursor": None} for sync in (RUNNING, DONE))
    server = act((200, running), (200, done))
    terminal = Terminal(("list", "--watch"), environment | {"ESTIMATESYNC_URL": server.url})
    terminal.read_until("45 new, 64 changed")

    terminal.process.send_signal(signal.SIGINT)

    assert terminal.end() == 130
    assert "page 9/17" in terminal.shown
    assert "\x1b[1A" in terminal.raw
    assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l")


def test_ctrl_c_leaves_the_bar_and_gives_the_cursor_back(act: Callable[..., Any], environment: dict[str, str]) -> None:
    server = act((202, STARTED), (200, RUNNING))
    terminal = Terminal(("start", "--wait"), environment | {"ESTIMATESYNC_URL": server.url})
    terminal.read_until("page 9/17")

    terminal.process.send_signal(signal.SIGINT)

    assert terminal.end() == 130
    assert "The sync est-1 keeps running." in terminal.shown
    assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l")


def test_a_lost_server_is_reported_above_the_bar(act: Callable[..., Any], environment: dict[str, str]) -> None:
    server = act((202, STARTED), (200, RUNNING), (None,), (200, DONE))

    terminal = Terminal(("start", "--wait"), environment | {"ESTIMATESYNC_URL": server.url})

    assert terminal.end() == 0
    assert "closed the connection without an answer. Retrying for up to 300 s." in " ".join(terminal.shown.split())
    assert "✔ succeeded" in terminal.shown


def test_colours_can_be_declined(act: Callable[..., Any], environment: dict[str, str]) -> None:
    server = act((200, DONE))
    environment |= {"ESTIMATESYNC_URL": server.url}

    coloured, plain = (Terminal(("status", "est-1"), environment | extra) for extra in ({}, {"NO_COLOR": "1"}))

    assert (coloured.end(), plain.end()) == (0, 0)
    assert "\x1b[1;32m✔ succeeded" in coloured.raw
    assert "32m" not in plain.raw
    assert coloured.shown == plain.shown


def test_without_the_extra_the_program_says_how_to_get_it(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError(\"No module named 'typer'\", name='typer')\n")

    ended = subprocess.run(
        [sys.executable, "-m", "estimatesync_client", "list"],
        check=False,
        env=environment | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
    )

    assert ended.returncode == 1
    assert ended.stderr == "typer is not installed. Install the client: pip install 'estimatesync[client]'\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [pytest.param("can", "cancel", id="a command"), pytest.param("start --da", "--days", id="an option")],
)
def test_bash_completes_what_the_program_has(typed: str, offered: str) -> None:
    words = ("estimatesync", *typed.split())
    script = (
        'eval "$(estimatesync completion bash)"; '
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
        '_estimatesync_completion estimatesync; echo "${COMPREPLY[@]}"'
    )
    environment = {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}

    ended = subprocess.run(["/bin/bash", "-c", script], env=environment, capture_output=True, text=True, check=True)

    assert ended.stdout.split() == [offered]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_how_to_complete(shell: str) -> None:
    ended = subprocess.run([PROGRAM, "completion", shell], capture_output=True, text=True, check=True)

    assert "_ESTIMATESYNC_COMPLETE" in ended.stdout

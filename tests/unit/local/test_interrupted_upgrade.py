"""A signal to stop while PostgreSQL's data is copied: what was started for that is stopped, as after Ctrl-C."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from estimatesync_local import supervisor
from estimatesync_local.core.errors import StartError


@contextmanager
def handled(number: signal.Signals, handler: Any) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def run_upgrade(directory: Path, monkeypatch: pytest.MonkeyPatch, *numbers: signal.Signals) -> list[str]:
    """Send signals to an upgrade: the first while it copies, the others while it unwinds."""
    done: list[str] = []
    first, *others = numbers

    def unwind() -> None:
        for number in others:
            os.kill(os.getpid(), number)
        done.append("servers stopped")

    def copy(_place: Path, **_: object) -> None:
        with ExitStack() as stack:
            stack.callback(unwind)
            os.kill(os.getpid(), first)
            done.append("copied")

    monkeypatch.setattr(supervisor, "upgrade", copy)
    (directory / "postgres").mkdir()
    supervisor.upgrade_postgres(directory, programs=None, report=done.append)
    return done


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_it_unwinds_on_every_signal_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    ours = lambda *_: None  # noqa: E731 - by this very object it is known again

    with handled(number, ours), pytest.raises(StartError, match="Give the same command again"):
        assert run_upgrade(tmp_path, monkeypatch, number) == []
    with handled(number, ours):
        assert signal.getsignal(number) is ours


def test_a_second_signal_does_not_disturb_the_unwinding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        handled(signal.SIGTERM, lambda *_: None),
        handled(signal.SIGINT, lambda *_: None),
        pytest.raises(StartError, match="Give the same command again"),
    ):
        run_upgrade(tmp_path, monkeypatch, signal.SIGTERM, signal.SIGTERM, signal.SIGINT)


def test_nohup_keeps_the_end_of_a_terminal_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with handled(signal.SIGHUP, signal.SIG_IGN):
        assert run_upgrade(tmp_path, monkeypatch, signal.SIGHUP) == ["copied", "servers stopped"]

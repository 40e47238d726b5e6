"""SyncWaiter for the end of a sync, and following its log, across everything that may happen meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest
from estimatesync_client.core.api import Sync
from estimatesync_client.core.errors import NotFoundError, StillRunningError, UnavailableError
from estimatesync_client.core.waiting import LogLines, SyncWaiter


class Clock:
    """Time that passes only by pauses."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def pause(self, seconds: float) -> None:
        self.seconds += seconds


class View:
    """A WaitView that remembers."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def show(self, sync: Sync) -> None:
        self.shown.append(sync.status)


@pytest.fixture
def begin(fake_server: Any) -> Callable[..., SyncWaiter]:
    clock = Clock()
    return lambda **options: SyncWaiter(fake_server, clock=clock, pause=clock.pause, **{"patience": 300.0, **options})


def test_each_poll_is_shown_until_the_end(
    fake_server: Any, begin: Callable[..., SyncWaiter], build: Callable[..., Sync]
) -> None:
    fake_server.polls = [build(status=status) for status in ("queued", "running", "running", "failed")]
    view = View()

    sync = begin().wait_for_end("est-1", view)

    assert sync.status == "failed"
    assert view.shown == ["queued", "running", "running", "failed"]
    assert fake_server.patiences == [300.0] * 4


def test_the_time_to_wait_ends_on_time_and_bounds_the_patience(
    fake_server: Any, begin: Callable[..., SyncWaiter], build: Callable[..., Sync]
) -> None:
    fake_server.polls = [build(status="running")] * 9

    with pytest.raises(StillRunningError, match="The sync est-1 is running, and continues") as raised:
        begin(timeout=2.5).wait_for_end("est-1", View())

    assert "estimatesync status est-1 --wait" in raised.value.cure
    assert fake_server.patiences == [2.5, 1.5, 0.5, 0.0]


def test_a_sync_that_is_deleted_meanwhile_ends_the_wait(
    fake_server: Any, begin: Callable[..., SyncWaiter], build: Callable[..., Sync]
) -> None:
    fake_server.polls = [build(status="running"), NotFoundError("There is no sync with this id.")]

    with pytest.raises(NotFoundError):
        begin().wait_for_end("est-1", View())


def test_a_log_is_followed_across_breaks_without_a_line_twice(
    fake_server: Any, begin: Callable[..., SyncWaiter], build: Callable[..., Sync]
) -> None:
    fake_server.streams = [
        ["one\ntw", UnavailableError("Gone.")],
        ["one\n", "two\nthree\n"],
        ["one\ntwo\nthree\nfour"],
    ]
    fake_server.polls = [build(status=status) for status in ("running", "running", "succeeded")]

    assert list(begin().follow_log("est-1")) == ["one", "two", "three", "four"]


def test_a_log_that_breaks_off_after_the_end_is_read_once_more(
    fake_server: Any, begin: Callable[..., SyncWaiter], build: Callable[..., Sync]
) -> None:
    fake_server.streams = [["one\n", UnavailableError("Gone.")], ["one\ntwo\n"]]
    fake_server.polls = [build(), build()]

    assert list(begin().follow_log("est-1")) == ["one", "two"]


def test_a_log_that_stays_unreadable_is_given_up(
    fake_server: Any, begin: Callable[..., SyncWaiter], build: Callable[..., Sync]
) -> None:
    gone = UnavailableError("The log cannot be read now.")
    fake_server.streams = [["one\n", gone], *([gone] for _ in range(9))]
    fake_server.polls = [build(status="running"), *(build() for _ in range(9))]
    given: list[str] = []

    with pytest.raises(UnavailableError, match="cannot be read"):
        given.extend(begin(patience=5.0).follow_log("est-1"))

    assert len(fake_server.streams) == 3


def test_a_silent_log_of_a_sync_at_work_is_followed_for_as_long_as_it_takes(
    fake_server: Any, begin: Callable[..., SyncWaiter], build: Callable[..., Sync]
) -> None:
    silent = UnavailableError("No answer in time.")
    fake_server.streams = [*([silent] for _ in range(50)), ["one\n"]]
    fake_server.polls = [*(build(status="queued") for _ in range(50)), build()]

    assert list(begin(patience=5.0).follow_log("est-1")) == ["one"]


def test_a_log_that_does_not_end_in_a_line_break_is_given_whole_and_once(
    fake_server: Any, begin: Callable[..., SyncWaiter], build: Callable[..., Sync]
) -> None:
    gone = UnavailableError("Gone.")
    fake_server.streams = [["one\n\ntw", gone], ["one\n\ntwo\n", "three\nfo", "ur"]]
    fake_server.polls = [build(status="running"), build()]

    assert list(begin().follow_log("est-1")) == ["one", "", "two", "three", "four"]
    assert fake_server.patiences == [300.0] * 2


def test_a_fault_that_lasts_ends_the_log(fake_server: Any, begin: Callable[..., SyncWaiter]) -> None:
    fake_server.streams = [[UnavailableError("The certificate is not trusted.", is_lasting=True)]]

    with pytest.raises(UnavailableError, match="not trusted"):
        list(begin().follow_log("est-1"))


def test_the_log_of_another_run_is_given_from_where_it_differs() -> None:
    lines = LogLines()
    first = list(lines.feed("start\npage 1\npage 2\n"))
    lines.restart()

    second = list(lines.feed("start\npage 2\npage 1\n"))

    assert (first, second) == (["start", "page 1", "page 2"], ["page 2", "page 1"])

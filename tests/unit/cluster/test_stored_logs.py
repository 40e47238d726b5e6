"""How a container's log is stored, and what a reader gets of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from estimatesync_cluster.test_kubelet.logs import (
    LogOptions,
    LogSource,
    compute_message_from_logs,
    format_lines,
    iterate_log,
    limit,
    parse_log_options,
    select_lines,
    split_stored,
    stamp_lines,
)

NOW = datetime(2025, 10, 16, 14, 9, 0, 123456, tzinfo=UTC)
STAMP = b"2025-10-16T14:09:00.123456000Z "
LINES = [b"2025-10-16T14:09:0%d.000000000Z line %d\n" % (second, second) for second in range(4)]


@pytest.mark.parametrize(
    ("carry", "chunk", "stored", "rest"),
    [
        pytest.param(b"", b"one\ntwo\n", STAMP + b"one\n" + STAMP + b"two\n", b"", id="lines"),
        pytest.param(b"on", b"e\ntw", STAMP + b"one\n", b"tw", id="line over two chunks"),
        pytest.param(b"", b"tw", b"", b"tw", id="no line yet"),
        pytest.param(b"", b"\n", STAMP + b"\n", b"", id="empty line"),
    ],
)
def test_output_is_stored_with_times(carry: bytes, chunk: bytes, stored: bytes, rest: bytes) -> None:
    result = stamp_lines(carry, chunk, NOW)

    assert result == (stored, rest)


def test_torn_line_waits_and_carriage_returns_do_not_split() -> None:
    lines, length = split_stored(b"T 10%\r20%\nT half")

    assert (lines, length) == ([b"T 10%\r20%\n"], 10)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param({}, b"line 0\nline 1\nline 2\nline 3\n", id="all"),
        pytest.param({"tailLines": "2"}, b"line 2\nline 3\n", id="tail"),
        pytest.param({"tailLines": "0"}, b"", id="no tail"),
        pytest.param({"tailLines": "9"}, b"line 0\nline 1\nline 2\nline 3\n", id="tail longer than the log"),
        pytest.param({"sinceTime": "2025-10-16T14:09:02Z"}, b"line 2\nline 3\n", id="since a time"),
        pytest.param({"sinceSeconds": "1"}, b"line 3\n", id="since seconds"),
        pytest.param({"tailLines": "1", "timestamps": "true"}, LINES[3], id="with times"),
    ],
)
def test_reader_gets_what_was_asked_for(query: dict[str, str], expected: bytes) -> None:
    options = parse_log_options(query, datetime(2025, 10, 16, 14, 9, 4, tzinfo=UTC))

    shown = format_lines(select_lines(LINES, options), options)

    assert shown == expected


@pytest.mark.parametrize("query", [{"tailLines": "some"}, {"sinceTime": "lately"}, {"limitBytes": ""}])
def test_bad_option_is_an_error(query: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|Invalid isoformat"):
        parse_log_options(query, NOW)


@pytest.mark.parametrize(
    ("most", "expected"),
    [(None, b"abcdef"), (4, b"abcd"), (3, b"abc"), (0, b""), (99, b"abcdef")],
)
def test_limit_cuts_the_stream(most: int | None, expected: bytes) -> None:
    parts = list(limit(iter([b"abc", b"", b"def"]), most))

    assert b"".join(parts) == expected
    assert b"" not in parts


def test_message_from_logs_is_their_end() -> None:
    stored = b"".join(STAMP + b"line %d\n" % number for number in range(100))

    message = compute_message_from_logs(stored, max_lines=3, max_bytes=12)

    assert message == "ne 98\nline 99\n"[-12:]


class Follower:
    """Stands where the container and its reader do: each pause writes one more line until the script is over."""

    def __init__(self, log: Path, script: list[bytes]) -> None:
        self.log = log
        self.script = script

    def is_live(self) -> bool:
        return bool(self.script)

    def pause(self) -> bool:
        with self.log.open("ab") as log:
            log.write(self.script.pop(0))
        return True


@pytest.fixture
def follow(tmp_path: Path) -> Callable[..., bytes]:
    def read(*script: bytes, options: LogOptions) -> bytes:
        log = tmp_path / "0.log"
        follower = Follower(log, list(script))
        source = LogSource(path=log, is_live=follower.is_live)
        return b"".join(iterate_log(source, options, follower.pause))

    return read


def test_follower_gets_every_line_once_up_to_the_end(follow: Callable[..., bytes]) -> None:
    followed = follow(LINES[0], LINES[1][:30], LINES[1][30:] + LINES[2], options=LogOptions(follow=True))

    assert followed == b"line 0\nline 1\nline 2\n"


def test_reader_who_does_not_follow_waits_for_nothing(follow: Callable[..., bytes]) -> None:
    read = follow(LINES[0], options=LogOptions())

    assert read == b""

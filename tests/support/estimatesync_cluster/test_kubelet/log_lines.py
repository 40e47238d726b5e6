"""A container's log as lines with times: how they are written, and which of them a reader asked for.

A stored line is `TIME LINE`, TIME being RFC 3339 with nanoseconds as in `kubectl logs --timestamps`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """PodLogOptions, as far as they apply; an absent limit is None."""

    follow: bool = False
    timestamps: bool = False
    previous: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since: datetime | None = None


def parse_log_options(query: Mapping[str, str], now: datetime) -> LogOptions:
    """Parse the query of a log request; ValueError when a number or a time is none."""
    since = datetime.fromisoformat(query["sinceTime"]) if "sinceTime" in query else None
    if "sinceSeconds" in query:
        since = now - timedelta(seconds=int(query["sinceSeconds"]))
    return LogOptions(
        follow=query.get("follow") == "true",
        timestamps=query.get("timestamps") == "true",
        previous=query.get("previous") == "true",
        tail_lines=int(query["tailLines"]) if "tailLines" in query else None,
        limit_bytes=int(query["limitBytes"]) if "limitBytes" in query else None,
        since=since,
    )


def stamp_lines(carry: bytes, chunk: bytes, now: datetime) -> tuple[bytes, bytes]:
    """Turn output into stored lines: (complete lines with their time, the beginning of a line that has no end yet)."""
    *complete, rest = (carry + chunk).split(b"\n")
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode()
    return b"".join(stamp + line + b"\n" for line in complete), rest


def split_stored(stored: bytes) -> tuple[list[bytes], int]:
    """Split stored text into its complete lines and tell how many bytes they are; a torn last line waits."""
    end = stored.rfind(b"\n") + 1
    # Not splitlines: a progress bar's carriage return does not end a line.
    return [line + b"\n" for line in stored[:end].split(b"\n")[:-1]], end


def select_lines(lines: Sequence[bytes], options: LogOptions) -> list[bytes]:
    """Select the stored lines that a reader wants to begin with."""
    wanted = [line for line in lines if options.since is None or read_time(line) >= options.since]
    return wanted if options.tail_lines is None else wanted[len(wanted) - min(options.tail_lines, len(wanted)) :]


def format_lines(lines: Sequence[bytes], options: LogOptions) -> bytes:
    """Represent stored lines as the reader sees them, with or without their times."""
    return b"".join(line if options.timestamps else line.partition(b" ")[2] for line in lines)


def read_time(line: bytes) -> datetime:
    """Read a stored line's time."""
    return datetime.fromisoformat(line.partition(b" ")[0].decode())


def compute_message_from_logs(stored: bytes, *, most_lines: int = 80, most_bytes: int = 2048) -> str:
    """Compute the termination message that FallbackToLogsOnError takes from the end of the log."""
    lines, _ = split_stored(stored)
    text = format_lines(lines[-most_lines:], LogOptions())
    return text[-most_bytes:].decode(errors="replace")

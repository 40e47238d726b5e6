"""The log on stdout: sentences for people, or one JSON object per line for machines, with the same sentences."""

from datetime import UTC, datetime
from typing import Final, TextIO

import msgspec

from estimatesync_job.core.ports import Level, Log


class TextLog:
    """Writes the bare sentence, as people know it from the first backend."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: Final = stream

    def write(self, action: str, message: str, *, level: Level = "info", **fields: str | float) -> None:  # noqa: ARG002 - the sentence says it all
        self._stream.write(f"{message}\n")
        self._stream.flush()


class JsonLog:
    """Writes {time, level, action, message, sync_id, …}."""

    def __init__(self, stream: TextIO, *, sync_id: str) -> None:
        self._stream: Final = stream
        self._sync_id: Final = sync_id

    def write(self, action: str, message: str, *, level: Level = "info", **fields: str | float) -> None:
        head = {"time": datetime.now(UTC), "level": level, "action": action, "message": message}
        line = msgspec.json.encode(head | {"sync_id": self._sync_id} | fields).decode()
        self._stream.write(f"{line}\n")
        self._stream.flush()


def create_log(log_format: str, stream: TextIO, *, sync_id: str) -> Log:
    """Create the log of a format: `json`, else text."""
    return JsonLog(stream, sync_id=sync_id) if log_format == "json" else TextLog(stream)

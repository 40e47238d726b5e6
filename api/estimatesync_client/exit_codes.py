"""How the program ends: one table, which the errors carry, the commands use and docs/client.md shows. Pure."""

from enum import Enum


class Exit(Enum):
    """The exit code, and what it means to a script."""

    DONE = (0, "done; with `--wait`: the sync succeeded")
    REFUSED = (1, "the request was refused as it is, or something unexpected happened: the message says what")
    USAGE = (2, "the command line or a setting is wrong; nothing was sent")
    SYNC_FAILED = (3, "`--wait`: the sync failed")
    SYNC_CANCELLED = (4, "`--wait`: the sync was cancelled")
    UNAVAILABLE = (5, "the server cannot be reached, cannot answer now, or is not an EstimateSync")
    NOT_ALLOWED = (6, "the API key is wrong, or may not do this (HTTP 401, 403)")
    NOT_FOUND = (7, "there is no such sync, or no longer")
    STILL_RUNNING = (8, "`--timeout` is over and the sync goes on")
    NOT_NOW = (9, "the sync is not in a state for this (HTTP 409)")
    FAULT_FOUND = (10, "`doctor` found a fault")
    INTERRUPTED = (130, "Ctrl-C; a sync that was started goes on")

    def __init__(self, code: int, meaning: str) -> None:
        self.code = code
        self.meaning = meaning

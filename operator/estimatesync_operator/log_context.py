"""Puts the sync's id on every log line that is written while a sync is visited, whoever writes it.

`main` installs it on the handlers that kopf has set up: with `--log-format=json` the id is a field of its own.
"""

import logging

from estimatesync_operator.workqueue import current_sync


class SyncIdFilter(logging.Filter):
    """Adds `sync_id` to records that have none; lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter."""
        sync_id = current_sync.get()
        if sync_id is not None and not hasattr(record, "sync_id"):
            record.sync_id = sync_id
        return True


def install_sync_ids(handlers: list[logging.Handler]) -> None:
    """Have every line of these handlers carry the id."""
    for handler in handlers:
        handler.addFilter(SyncIdFilter())

"""What every command needs: the settings, the terminal, and the connection to the server. `run` creates it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NoReturn

import typer

from estimatesync_client.adapters.connection import open_client
from estimatesync_client.adapters.http_api import HttpApi
from estimatesync_client.adapters.terminal import Output, Terminal, build_sync, read_now
from estimatesync_client.core.api import CANCELLED, FAILED, SUCCEEDED, Server, Sync
from estimatesync_client.core.errors import Exit, InterruptedWaitError, UnavailableError
from estimatesync_client.core.waiting import REQUEST_PATIENCE, WAIT_PATIENCE, SyncWaiter
from estimatesync_client.settings import DEFAULT_URL, parse_address, parse_key

OUTCOMES: Final[Mapping[str, Exit]] = {
    SUCCEEDED: Exit.DONE,
    FAILED: Exit.SYNC_FAILED,
    CANCELLED: Exit.SYNC_CANCELLED,
}
"""How a command that waited ends, by the status of the sync."""


class AppContext:
    """One run of the program."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.terminal = Terminal()
        self.url = DEFAULT_URL
        self.patience: float | None = None

    @contextmanager
    def open_server(self, *, is_wait: bool = False) -> Iterator[Server]:
        """Connect to the server; `is_wait` for a command that takes its time, and waits for a server, too.

        Raises:
            UsageError: the address or the key is not usable.
        """
        patience = WAIT_PATIENCE if is_wait else REQUEST_PATIENCE
        with open_client(parse_address(self.url), parse_key(self.environment)) as client:
            yield HttpApi(
                client,
                patience=patience if self.patience is None else self.patience,
                awaits_server=is_wait or self.patience is not None,
                notice=self.terminal.write_note,
            )

    def create_waiter(self, server: Server, *, timeout: float | None = None) -> SyncWaiter:
        patience = WAIT_PATIENCE if self.patience is None else self.patience
        return SyncWaiter(server, clock=time.monotonic, pause=time.sleep, patience=patience, timeout=timeout)

    def wait_for_end(self, server: Server, sync_id: str, *, timeout: float | None) -> NoReturn:
        """Show the progress of a sync, then its outcome, and exit with the exit code of that.

        Raises:
            SystemExit: the sync has ended.
            ClientError: it has not, or that is unknown.
        """
        come_back = f"Come back with: estimatesync status {sync_id} --wait"
        try:
            with self.terminal.watching() as view:
                sync = self.create_waiter(server, timeout=timeout).wait_for_end(sync_id, view)
        except KeyboardInterrupt:
            message = f"Stopped waiting. The sync {sync_id} keeps running."
            raise InterruptedWaitError(message, cure=come_back, sync_id=sync_id) from None
        except UnavailableError as error:
            message = f"{error.message} The sync {sync_id} may continue all the same."
            raise UnavailableError(message, cure=come_back, code=error.code, sync_id=sync_id) from error
        self.write_sync(sync)
        raise SystemExit(OUTCOMES[sync.status].code)

    def write_sync(self, sync: Sync) -> None:
        self.terminal.write_result(build_sync(sync, read_now()), sync.document)


def get_app_context(context: typer.Context, output: Output = Output.TEXT) -> AppContext:
    """Get the context that a command runs in, and set the form of its output."""
    app_context: object = context.obj
    if not isinstance(app_context, AppContext):
        raise TypeError("the command line runs with an AppContext as its object")
    app_context.terminal.output = output
    return app_context

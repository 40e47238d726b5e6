"""What every command needs: the settings, the two streams, and the way to the server. Made by `run`."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NoReturn

import typer

from estimatesync_client.answers import CANCELLED, FAILED, SUCCEEDED, Sync
from estimatesync_client.connection import open_client
from estimatesync_client.errors import InterruptedWaitError, UnavailableError
from estimatesync_client.exit_codes import Exit
from estimatesync_client.http_api import HttpApi
from estimatesync_client.patience import ASK_SECONDS, WAIT_SECONDS
from estimatesync_client.ports import Server
from estimatesync_client.settings import DEFAULT_URL, parse_address, parse_key
from estimatesync_client.terminal import Output, Terminal, read_now
from estimatesync_client.views import build_sync
from estimatesync_client.waiting import Waiting

OUTCOMES: Final[Mapping[str, Exit]] = {
    SUCCEEDED: Exit.DONE,
    FAILED: Exit.SYNC_FAILED,
    CANCELLED: Exit.SYNC_CANCELLED,
}
"""How a command that waited ends, by the status of the sync."""


class Program:
    """One run of the program."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Begin with what the environment says; options may change it."""
        self.environment = environment
        self.terminal = Terminal()
        self.url = DEFAULT_URL
        self.patience: float | None = None

    @contextmanager
    def open_server(self) -> Iterator[Server]:
        """Open the way to the server.

        Raises:
            UsageError: The address or the key is not usable.
        """
        patience = ASK_SECONDS if self.patience is None else self.patience
        with open_client(parse_address(self.url), parse_key(self.environment)) as client:
            yield HttpApi(client, patience=patience, notice=self.terminal.write_note)

    def create_waiting(self, server: Server, *, timeout: float | None = None) -> Waiting:
        """Begin to wait."""
        patience = WAIT_SECONDS if self.patience is None else self.patience
        return Waiting(server, clock=time.monotonic, pause=time.sleep, patience=patience, timeout=timeout)

    def wait_for_end(self, server: Server, sync_id: str, *, timeout: float | None) -> NoReturn:
        """Show how a sync goes on, then its outcome, and end with the exit code of that.

        Raises:
            SystemExit: The sync has ended.
            ClientError: It has not, or nobody knows.
        """
        come_back = f"Come back with: estimatesync status {sync_id} --wait"
        try:
            with self.terminal.watching() as view:
                sync = self.create_waiting(server, timeout=timeout).wait_for_end(sync_id, view)
        except KeyboardInterrupt:
            message = f"Nobody waits any more; {sync_id} goes on."
            raise InterruptedWaitError(message, cure=come_back, sync_id=sync_id) from None
        except UnavailableError as error:
            message = f"{error.message} {sync_id} may go on all the same."
            raise UnavailableError(message, cure=come_back, code=error.code, sync_id=sync_id) from error
        self.write_sync(sync)
        raise SystemExit(OUTCOMES[sync.status].code)

    def write_sync(self, sync: Sync) -> None:
        """Show one sync."""
        self.terminal.write_result(build_sync(sync, read_now()), sync.document)


def get_program(context: typer.Context, output: Output = Output.TEXT) -> Program:
    """Get the program that a command belongs to; from now on it writes like this."""
    program: object = context.obj
    if not isinstance(program, Program):
        raise TypeError("the command line is run with a Program as its object")
    program.terminal.output = output
    return program

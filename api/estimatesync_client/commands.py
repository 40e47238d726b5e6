"""The commands that ask the server: each reads its options, asks, and shows the answer. `command_line` runs them.

A command that does not get what it wanted raises a ClientError. Docstrings are the help that people read.
"""

import re
import secrets
import shlex
from collections.abc import Iterator
from typing import Final

import typer

from estimatesync_client import options
from estimatesync_client.answers import Started
from estimatesync_client.errors import InterruptedWaitError, UnavailableError, UsageError
from estimatesync_client.finding_syncs import fetch_syncs, find_sync
from estimatesync_client.ports import ListQuery, Server, StartQuery
from estimatesync_client.program import Program, get_program
from estimatesync_client.terminal import Output, read_now
from estimatesync_client.views import build_hint, build_table
from estimatesync_client.wording import format_harmless

_KEY: Final = re.compile(r"[ -~]{1,255}")


def start(
    context: typer.Context,
    *,
    from_: options.FromOption = None,
    to: options.ToOption = None,
    wait: options.WaitOption = False,
    timeout: options.TimeoutOption = None,
    idempotency_key: options.KeyOption = None,
    output: options.OutputOption = Output.TEXT,
) -> None:
    """Start a sync of these days: of the last 45 unless told."""
    program = get_program(context, output)
    _require_wait(wait=wait, timeout=timeout)
    if from_ and to and from_ > to:
        raise UsageError("--from is after --to.")
    if idempotency_key is not None and not _KEY.fullmatch(idempotency_key):
        raise UsageError("--idempotency-key takes 1 to 255 printable ASCII characters.")
    query = StartQuery(
        start_date=f"{from_:{options.DAY_FORMAT}}" if from_ else None,
        end_date=f"{to:{options.DAY_FORMAT}}" if to else None,
        idempotency_key=idempotency_key or secrets.token_hex(16),
    )
    with program.open_server() as server:
        started = _start(server, query)
        if wait:
            program.terminal.write_note(f"{started.sync_id} is started.")
            program.wait_for_end(server, started.sync_id, timeout=timeout)
        hint = f"estimatesync status {started.sync_id} --wait"
        program.terminal.write_result(build_hint(f"{started.sync_id} is started.", hint), started.document)


def list_syncs(
    context: typer.Context,
    *,
    status: options.StatusOption = None,
    since: options.SinceOption = None,
    until: options.UntilOption = None,
    limit: options.LimitOption = 20,
    cursor: options.CursorOption = None,
    output: options.OutputOption = Output.TEXT,
) -> None:
    """List syncs, the newest first."""
    program = get_program(context, output)
    query = ListQuery(limit=limit, statuses=tuple(status or ()), since=since, until=until, cursor=cursor)
    with program.open_server() as server:
        page = fetch_syncs(server, query)
    document = {"success": True, "syncs": [sync.document for sync in page.syncs], "next_cursor": page.next_cursor}
    if page.syncs or output is Output.JSON:
        program.terminal.write_result(build_table(page.syncs, read_now()), document)
        if page.next_cursor:
            program.terminal.write_note("There are more: ask with a higher --limit, or with --until.")
    else:
        program.terminal.write_note("There is no such sync." if status or since or until else "There is no sync yet.")


def status(
    context: typer.Context,
    *,
    sync_id: options.SyncArgument,
    wait: options.WaitOption = False,
    timeout: options.TimeoutOption = None,
    output: options.OutputOption = Output.TEXT,
) -> None:
    """Show one sync, or wait for its end."""
    program = get_program(context, output)
    _require_wait(wait=wait, timeout=timeout)
    with program.open_server() as server:
        sync = find_sync(server, sync_id)
        if wait:
            program.wait_for_end(server, sync.sync_id, timeout=timeout)
        program.write_sync(sync)


def logs(
    context: typer.Context,
    *,
    sync_id: options.SyncArgument,
    follow: options.FollowOption = False,
) -> None:
    """Print what a sync has printed."""
    program = get_program(context, Output.TEXT)
    with program.open_server() as server:
        name = find_sync(server, sync_id).sync_id
        try:
            for line in _read_lines(program, server, name, follow=follow):
                program.terminal.write_line(format_harmless(line))
        except KeyboardInterrupt:
            cure = f"Come back with: estimatesync logs {name} --follow"
            raise InterruptedWaitError("Nobody reads the log any more.", cure=cure, sync_id=name) from None


def cancel(
    context: typer.Context, *, sync_id: options.SyncArgument, output: options.OutputOption = Output.TEXT
) -> None:
    """Stop a sync; its record stays."""
    program = get_program(context, output)
    with program.open_server() as server:
        sync = find_sync(server, sync_id)
        acted = server.cancel(sync.sync_id)
    hint = "" if sync.is_finished else f"estimatesync status {sync.sync_id} --wait"
    program.terminal.write_result(build_hint(f"{sync.sync_id}: {acted.message}", hint), acted.document)


def redeliver(
    context: typer.Context, *, sync_id: options.SyncArgument, output: options.OutputOption = Output.TEXT
) -> None:
    """Send the callback of a finished sync again."""
    program = get_program(context, output)
    with program.open_server() as server:
        sync = find_sync(server, sync_id)
        acted = server.redeliver(sync.sync_id)
    hint = f"estimatesync status {sync.sync_id}"
    program.terminal.write_result(build_hint(f"{sync.sync_id}: {acted.message}", hint), acted.document)


def _read_lines(program: Program, server: Server, name: str, *, follow: bool) -> Iterator[str]:
    if follow:
        yield from program.create_waiting(server).follow_log(name)
    else:
        yield from server.fetch_log(name).splitlines()


def _require_wait(*, wait: bool, timeout: float | None) -> None:
    if timeout is not None and not wait:
        raise UsageError("--timeout is for --wait.")


def _start(server: Server, query: StartQuery) -> Started:
    """Start; when nobody can tell whether that worked, say how to repeat it without starting two."""
    again = f"To repeat this very start, add: --idempotency-key {shlex.quote(query.idempotency_key)}"
    try:
        return server.start(query)
    except UnavailableError as error:
        raise UnavailableError(error.message, cure=f"{error.cure}. {again}", code=error.code) from error
    except KeyboardInterrupt:
        raise InterruptedWaitError("It is not known whether the sync was started.", cure=again) from None

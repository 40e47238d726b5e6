"""The command line: the commands, and `run`, which `main` calls.

The docstring of a command is its help. A command that cannot do what it was asked to raises a ClientError.
"""

import os
import secrets
import shlex
import time
from collections import deque
from collections.abc import Iterator, Mapping
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import typer
from dotenv import dotenv_values
from estimatesync_contract.env_file import EnvFileError, decode_env_file
from estimatesync_contract.job_environment import ATTIC_TECH_URL, DATABASE_URL
from estimatesync_contract.legacy_settings import accept_old_names
from typer.completion import get_completion_inspect_parameters, shell_complete

from estimatesync_client.adapters.terminal import Output, build_findings, build_hint, build_table, read_now
from estimatesync_client.app_context import AppContext, get_app_context
from estimatesync_client.core.api import CHANGES, ListQuery, Server, Started, StartQuery, Sync, SyncPage
from estimatesync_client.core.arguments import parse_metadata, parse_moment, parse_statuses
from estimatesync_client.core.diagnoses import Finding, Verdict
from estimatesync_client.core.errors import ClientError, Exit, InterruptedWaitError, UnavailableError, UsageError
from estimatesync_client.core.formatting import strip_control_characters
from estimatesync_client.core.lookup import MAX_PAGE, fetch_syncs, find_sync
from estimatesync_client.doctor import examine
from estimatesync_client.options import (
    ChangesOption,
    Command,
    CommandGroup,
    CursorOption,
    DaysOption,
    EnvFileOption,
    FailedOption,
    FollowOption,
    FromOption,
    KeyOption,
    LimitOption,
    MetadataOption,
    OptionalSyncArgument,
    OutputOption,
    PatienceOption,
    ShellArgument,
    SinceOption,
    StatusOption,
    SyncArgument,
    TailOption,
    TargetOption,
    TimeoutOption,
    ToOption,
    UntilOption,
    UrlOption,
    VersionOption,
    WaitOption,
    WatchOption,
)
from estimatesync_client.settings import DEFAULT_URL, parse_deployment

PROGRAM: Final = "estimatesync"
_WATCH_SECONDS: Final = 2.0


def start(
    context: typer.Context,
    *,
    from_: FromOption = None,
    to: ToOption = None,
    days: DaysOption = None,
    changes: ChangesOption = False,
    callback: TargetOption = None,
    metadata: MetadataOption = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
    idempotency_key: KeyOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Start a sync of these days; of the last 45 by default."""
    app_context = get_app_context(context, output)
    _require_wait(wait=wait, timeout=timeout)
    if from_ and to and from_ > to:
        raise UsageError("--from is after --to.")
    if from_ and days is not None:
        raise UsageError("--from and --days both say where to begin: give one of them.")
    query = StartQuery(
        start_date=from_.isoformat() if from_ else None,
        end_date=to.isoformat() if to else None,
        mode=CHANGES if changes else None,
        days=days,
        targets=tuple(callback or ()),
        metadata=parse_metadata(metadata or ()),
        idempotency_key=idempotency_key or secrets.token_hex(16),
    )
    with app_context.open_server(is_wait=wait) as server:
        started = _start(server, query)
        if wait:
            app_context.terminal.write_note(f"{started.sync_id} started.")
            app_context.wait_for_end(server, started.sync_id, timeout=timeout)
        hint = f"estimatesync status {started.sync_id} --wait"
        app_context.terminal.write_result(build_hint(f"{started.sync_id} started.", hint), started.document)


def list_syncs(
    context: typer.Context,
    *,
    status: StatusOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 20,
    cursor: CursorOption = None,
    watch: WatchOption = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """List syncs, the newest first; CALL is the callback, delivered or not."""
    app_context = get_app_context(context, output)
    if watch and output is Output.JSON:
        raise UsageError("--watch is for people: leave out --output json.")
    query = ListQuery(
        limit=limit,
        statuses=parse_statuses(status or ()),
        since=parse_moment("--since", since, read_now()),
        until=parse_moment("--until", until, read_now()),
        cursor=cursor,
    )
    with app_context.open_server(is_wait=watch) as server:
        if watch:
            _watch(app_context, server, query)
        _write_page(app_context, fetch_syncs(server, query), is_filtered=bool(status or since or until))


def _write_page(app_context: AppContext, page: SyncPage, *, is_filtered: bool) -> None:
    terminal = app_context.terminal
    document = {"success": True, "syncs": [sync.document for sync in page.syncs], "next_cursor": page.next_cursor}
    if page.syncs or terminal.output is Output.JSON:
        terminal.write_result(build_table(page.syncs, read_now(), width=terminal.out.width), document)
        if page.next_cursor:
            terminal.write_note("There are more: raise --limit, or use --until.")
    else:
        terminal.write_note("No sync matches." if is_filtered else "There is no sync yet.")


def _watch(app_context: AppContext, server: Server, query: ListQuery) -> NoReturn:
    try:
        with app_context.terminal.listing() as show:
            while True:
                show(fetch_syncs(server, query).syncs)
                time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        # How it is meant to end: nothing need be said.
        raise typer.Exit(Exit.INTERRUPTED.code) from None


def status(
    context: typer.Context,
    *,
    sync_id: SyncArgument,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show one sync, or wait for its end."""
    app_context = get_app_context(context, output)
    _require_wait(wait=wait, timeout=timeout)
    with app_context.open_server(is_wait=wait) as server:
        sync = find_sync(server, sync_id)
        if wait:
            app_context.wait_for_end(server, sync.sync_id, timeout=timeout)
        app_context.write_sync(sync)


def logs(
    context: typer.Context,
    *,
    sync_id: SyncArgument,
    follow: FollowOption = False,
    tail: TailOption = None,
) -> None:
    """Print what a sync has printed."""
    app_context = get_app_context(context, Output.TEXT)
    with app_context.open_server(is_wait=follow) as server:
        sync = find_sync(server, sync_id)
        is_empty = True
        try:
            for line in _read_lines(app_context, server, sync.sync_id, follow=follow, tail=tail):
                app_context.terminal.write_line(strip_control_characters(line))
                is_empty = False
        except KeyboardInterrupt:
            cure = f"Come back with: estimatesync logs {sync.sync_id} --follow"
            raise InterruptedWaitError(
                "Stopped following the log. The sync continues.", cure=cure, sync_id=sync.sync_id
            ) from None
    if is_empty and tail != 0:
        app_context.terminal.write_note(_explain_empty_log(sync))


def _read_lines(app_context: AppContext, server: Server, name: str, *, follow: bool, tail: int | None) -> Iterator[str]:
    printed = () if follow and tail is None else server.fetch_log(name).splitlines()
    if follow:
        # The stream begins with the log's first line: what has been printed so far is left out but for its end.
        left_out = 0 if tail is None else max(0, len(printed) - tail)
        yield from islice(app_context.create_waiter(server).follow_log(name), left_out, None)
    else:
        yield from printed if tail is None else deque(printed, maxlen=tail)


def _explain_empty_log(sync: Sync) -> str:
    if sync.is_finished:
        return f"No log: {sync.sync_id} has printed nothing, or its log is gone."
    return f"No log yet: {sync.sync_id} is {sync.status}."


def cancel(context: typer.Context, *, sync_id: SyncArgument, output: OutputOption = Output.TEXT) -> None:
    """Stop a sync; its record stays."""
    app_context = get_app_context(context, output)
    with app_context.open_server() as server:
        sync = find_sync(server, sync_id, is_acted_on=True)
        acted = server.cancel(sync.sync_id)
    hint = "" if sync.is_finished else f"estimatesync status {sync.sync_id} --wait"
    app_context.terminal.write_result(build_hint(f"{sync.sync_id}: {acted.message}", hint), acted.document)


def redeliver(
    context: typer.Context,
    *,
    sync_id: OptionalSyncArgument = "",
    callback: TargetOption = None,
    failed: FailedOption = False,
    since: SinceOption = None,
    until: UntilOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Send the callback of a finished sync again; of several, all or those of the targets that are named.

    With --failed, send all callbacks again that were not delivered.
    """
    app_context = get_app_context(context, output)
    if failed == bool(sync_id) or (failed and callback) or (not failed and (since or until)):
        raise UsageError("redeliver takes an ID, and --callback if need be; or --failed, with --since and --until.")
    if failed:
        now = read_now()
        query = ListQuery(
            limit=MAX_PAGE, since=parse_moment("--since", since, now), until=parse_moment("--until", until, now)
        )
        _redeliver_failed(app_context, query)
        return
    with app_context.open_server() as server:
        sync = find_sync(server, sync_id, is_acted_on=True)
        acted = server.redeliver(sync.sync_id, callback or ())
    hint = f"estimatesync status {sync.sync_id}"
    app_context.terminal.write_result(build_hint(f"{sync.sync_id}: {acted.message}", hint), acted.document)


def _redeliver_failed(app_context: AppContext, query: ListQuery) -> None:
    """Go on until the server has looked at all; what a broken connection leaves out, the next try finds."""
    sync_ids: list[str] = []
    with app_context.open_server() as server:
        while True:
            answer = server.redeliver_failed(query)
            sync_ids += answer.sync_ids
            if answer.next_cursor is None:
                break
            query = msgspec.structs.replace(query, cursor=answer.next_cursor)
    text = "\n".join([*sync_ids, f"Syncs whose callbacks will be sent again: {len(sync_ids)}."])
    app_context.terminal.write_result(build_hint(text, ""), {"success": True, "sync_ids": sync_ids})


def _require_wait(*, wait: bool, timeout: float | None) -> None:
    if timeout is not None and not wait:
        raise UsageError("--timeout needs --wait.")


def _start(server: Server, query: StartQuery) -> Started:
    """Start; when it is unknown whether that worked, say how to repeat it without starting two."""
    again = f"To repeat exactly this start, add: --idempotency-key {shlex.quote(query.idempotency_key)}"
    try:
        return server.start(query)
    except UnavailableError as error:
        if error.is_absent:
            raise
        raise UnavailableError(error.message, cure=f"{error.cure}. {again}", code=error.code) from error
    except KeyboardInterrupt:
        raise InterruptedWaitError("It is unknown whether the sync was started.", cure=again) from None


def doctor(
    context: typer.Context,
    *,
    env_file: EnvFileOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Find out what is wrong: server, key, cluster, source login, database, callback target, last success.

    Nothing is started, stored or posted. Attic Tech, the database and the webhook are tried from here when their
    settings are in the environment or in --env-file; otherwise doctor goes by recent syncs.
    """
    app_context = get_app_context(context, output)
    in_file = _read_env_file(env_file) if env_file else {}
    settings = {name: value or "" for name, value in in_file.items()} | dict(app_context.environment)
    # The server accepts the first backend's names of settings, so doctor does too.
    known = accept_old_names(settings, (ATTIC_TECH_URL, DATABASE_URL))
    findings: list[Finding] = []
    deployment = parse_deployment(known.environment)
    for finding in examine(app_context.environment, deployment, url=app_context.url, now=read_now):
        findings.append(finding)
        if output is Output.TEXT:
            app_context.terminal.write_result(build_findings([finding]), None)
    has_fault = any(finding.verdict is Verdict.FAULT for finding in findings)
    if output is Output.JSON:
        app_context.terminal.write_result("", {"success": not has_fault, "checks": findings})
    raise typer.Exit(Exit.FAULT_FOUND.code if has_fault else Exit.DONE.code)


def completion(
    context: typer.Context,
    *,
    shell: ShellArgument,
) -> None:
    """Print what lets a shell complete commands and options.

    Bash: add `eval "$(estimatesync completion bash)"` to ~/.bashrc. Zsh: the same with zsh in ~/.zshrc, after compinit.
    Fish: estimatesync completion fish > ~/.config/fish/completions/estimatesync.fish
    """
    command = context.find_root().command
    shell_complete(command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE", f"source_{shell}")


def _read_env_file(path: Path) -> Mapping[str, str | None]:
    """Read a file of settings as `make local` does.

    Raises:
        UsageError: It cannot be read, or is not UTF-8.
    """
    try:
        text = decode_env_file(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except EnvFileError as error:
        what, _, cure = str(error).partition("; ")
        raise UsageError(f"{path} {what}.", cure=cure.capitalize()) from error
    return dotenv_values(stream=StringIO(text), interpolate=False)


app = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: " + ", ".join(f"{exit_.code} {exit_.name.lower().replace('_', ' ')}" for exit_ in Exit) + ".",
)


def run() -> int:
    """Run the command line of this process, and return its exit code."""
    app_context = AppContext(os.environ)
    try:
        # Registers the shells, as for the options that Typer would add.
        get_completion_inspect_parameters()
        app(obj=app_context, prog_name=PROGRAM)
    except ClientError as error:
        app_context.terminal.write_error(error)
        return error.exit.code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.DONE.code
    return Exit.DONE.code


@app.callback()
def configure(
    context: typer.Context,
    *,
    url: UrlOption = DEFAULT_URL,
    patience: PatienceOption = None,
    show_version: VersionOption = False,  # noqa: ARG001 - its callback has acted
) -> None:
    """Start syncs of Attic Tech estimates, follow them, and find out what is wrong.

    The API key is read from ESTIMATESYNC_API_KEY.
    """
    app_context = get_app_context(context)
    app_context.url = url
    app_context.patience = patience


_COMMANDS: Final = (start, list_syncs, status, logs, cancel, redeliver, doctor, completion)
for _command in _COMMANDS:
    app.command("list" if _command is list_syncs else None, cls=Command)(_command)

"""The command line: options, commands, and `run`, which `main` calls.

The docstring of a command is its help. A command that cannot do what it was asked to raises a ClientError.
"""

import os
import re
import secrets
import shlex
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from dotenv import dotenv_values
from estimatesync_contract.env_file import EnvFileError, decode_env_file
from estimatesync_contract.job_environment import ATTIC_TECH_URL, DATABASE_URL
from estimatesync_contract.legacy_settings import accept_old_names
from typer.completion import get_completion_inspect_parameters, shell_complete

from estimatesync_client.adapters.terminal import Output, build_findings, build_hint, build_table, read_now
from estimatesync_client.app_context import AppContext, get_app_context
from estimatesync_client.core.api import CHANGES, ListQuery, Server, Started, StartQuery
from estimatesync_client.core.diagnoses import Finding, Verdict
from estimatesync_client.core.errors import ClientError, Exit, InterruptedWaitError, UnavailableError, UsageError
from estimatesync_client.core.formatting import strip_control_characters
from estimatesync_client.core.lookup import LATEST, MAX_PAGE, fetch_syncs, find_sync
from estimatesync_client.core.problems import URL_VARIABLE
from estimatesync_client.doctor import examine
from estimatesync_client.settings import DEFAULT_URL, parse_deployment

PROGRAM: Final = "estimatesync"
DAY_FORMAT: Final = "%Y-%m-%d"
_AGE: Final = re.compile(r"(?P<count>[0-9]{1,4})(?P<unit>[hd])")
_AGE_UNITS: Final = {"h": "hours", "d": "days"}
_IDEMPOTENCY_KEY: Final = re.compile(r"[ -~]{1,255}")


class Shell(StrEnum):
    """What `completion` writes for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


UrlOption = Annotated[
    str, typer.Option("--url", envvar=URL_VARIABLE, metavar="URL", help="Where the API is.", show_envvar=True)
]
PatienceOption = Annotated[
    float | None,
    typer.Option(
        "--patience",
        min=0,
        metavar="SECONDS",
        help="How long to retry while the server is down or busy: 30 by default, 300 during a wait.",
    ),
]
SyncArgument = Annotated[
    str, typer.Argument(metavar="ID", help=f"The sync's id, the start of one, or {LATEST}.", show_default=False)
]
OptionalSyncArgument = Annotated[
    str, typer.Argument(metavar="[ID]", help=f"The sync's id, the start of one, or {LATEST}.", show_default=False)
]
FailedOption = Annotated[
    bool,
    typer.Option(
        "--failed",
        help="All that were given up, of syncs that were requested within --since and --until.",
        show_default=False,
    ),
]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="Text for people, or one JSON document.", case_sensitive=False)
]
WaitOption = Annotated[
    bool, typer.Option("--wait", "-w", help="Wait for the end, and exit with the sync's outcome.", show_default=False)
]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout", min=0, metavar="SECONDS", help="Wait at most this long; the sync goes on."),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        metavar="TEXT",
        help="Starts with the same text are one start; a random one by default.",
    ),
]
StatusOption = Annotated[
    list[str] | None,
    typer.Option("--status", "-s", metavar="STATUS", help="Only these: queued, running, succeeded, failed, cancelled."),
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Requested on or after this day or instant, or 2d ago."),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Requested up to this day (all of it) or instant.")
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many at most.")]
CursorOption = Annotated[
    str | None, typer.Option("--cursor", metavar="TEXT", help="The next_cursor of an earlier list.", show_default=False)
]
FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Continue until the sync has ended.", show_default=False)
]
EnvFileOption = Annotated[
    Path | None,
    typer.Option(
        "--env-file",
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Settings of the deployment to try from here, such as the .env of one machine.",
    ),
]
FromOption = Annotated[
    datetime | None,
    typer.Option("--from", formats=[DAY_FORMAT], metavar="DAY", help="First day, such as 2025-09-01."),
]
ToOption = Annotated[
    datetime | None, typer.Option("--to", formats=[DAY_FORMAT], metavar="DAY", help="Last day; today by default.")
]
DaysOption = Annotated[
    int | None,
    typer.Option("--days", min=0, max=10_000, metavar="N", help="Begin so many days before the last day."),
]

ChangesOption = Annotated[
    bool,
    typer.Option(
        "--changes",
        help="Read only what has changed since an earlier sync, where one serves.",
        show_default=False,
    ),
]


TargetOption = Annotated[
    list[str] | None,
    typer.Option("--callback", metavar="NAME", help="A callback target by name; again for several."),
]


MetadataOption = Annotated[
    list[str] | None,
    typer.Option("--metadata", metavar="NAME=TEXT", help="Comes back with the callback; again for several."),
]


def show_version(is_asked: bool) -> None:  # noqa: FBT001 - typer passes it by position
    """Show the version and exit."""
    if is_asked:
        typer.echo(f"estimatesync {version('estimatesync')}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option("--version", help="Show the version, and exit.", is_eager=True, callback=show_version, metavar=""),
]


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
    if idempotency_key is not None and not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise UsageError("--idempotency-key takes 1 to 255 printable ASCII characters.")
    query = StartQuery(
        start_date=f"{from_:{DAY_FORMAT}}" if from_ else None,
        end_date=f"{to:{DAY_FORMAT}}" if to else None,
        mode=CHANGES if changes else None,
        days=days,
        targets=tuple(callback or ()),
        metadata=_parse_metadata(metadata or ()),
        idempotency_key=idempotency_key or secrets.token_hex(16),
    )
    with app_context.open_server() as server:
        started = _start(server, query)
        if wait:
            app_context.terminal.write_note(f"{started.sync_id} started.")
            app_context.wait_for_end(server, started.sync_id, timeout=timeout)
        hint = f"estimatesync status {started.sync_id} --wait"
        app_context.terminal.write_result(build_hint(f"{started.sync_id} started.", hint), started.document)


def _parse_metadata(pairs: Iterable[str]) -> dict[str, str]:
    """Read pairs like `order=4711`; what stands behind the first sign is a text.

    Raises:
        UsageError: One is no pair.
    """
    split = [pair.partition("=") for pair in pairs]
    if not all(name and sign for name, sign, _ in split):
        raise UsageError("--metadata takes a name and a text, such as order=4711.")
    return {name: text for name, _, text in split}


def list_syncs(
    context: typer.Context,
    *,
    status: StatusOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 20,
    cursor: CursorOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List syncs, the newest first."""
    app_context = get_app_context(context, output)
    query = ListQuery(
        limit=limit,
        statuses=tuple(status or ()),
        since=_resolve_age(since),
        until=_resolve_age(until),
        cursor=cursor,
    )
    with app_context.open_server() as server:
        page = fetch_syncs(server, query)
    document = {"success": True, "syncs": [sync.document for sync in page.syncs], "next_cursor": page.next_cursor}
    if page.syncs or output is Output.JSON:
        app_context.terminal.write_result(build_table(page.syncs, read_now()), document)
        if page.next_cursor:
            app_context.terminal.write_note("There are more: raise --limit, or use --until.")
    else:
        is_filtered = status or since or until
        app_context.terminal.write_note("No sync matches." if is_filtered else "There is no sync yet.")


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
    with app_context.open_server() as server:
        sync = find_sync(server, sync_id)
        if wait:
            app_context.wait_for_end(server, sync.sync_id, timeout=timeout)
        app_context.write_sync(sync)


def logs(
    context: typer.Context,
    *,
    sync_id: SyncArgument,
    follow: FollowOption = False,
) -> None:
    """Print what a sync has printed."""
    app_context = get_app_context(context, Output.TEXT)
    with app_context.open_server() as server:
        name = find_sync(server, sync_id).sync_id
        try:
            for line in _read_lines(app_context, server, name, follow=follow):
                app_context.terminal.write_line(strip_control_characters(line))
        except KeyboardInterrupt:
            cure = f"Come back with: estimatesync logs {name} --follow"
            raise InterruptedWaitError("No longer following the log.", cure=cure, sync_id=name) from None


def cancel(context: typer.Context, *, sync_id: SyncArgument, output: OutputOption = Output.TEXT) -> None:
    """Stop a sync; its record stays."""
    app_context = get_app_context(context, output)
    with app_context.open_server() as server:
        sync = find_sync(server, sync_id)
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

    With --failed, send all callbacks again that were given up.
    """
    app_context = get_app_context(context, output)
    if failed == bool(sync_id) or (failed and callback) or (not failed and (since or until)):
        raise UsageError("redeliver takes an ID, and --callback if need be; or --failed, with --since and --until.")
    if failed:
        _redeliver_failed(app_context, ListQuery(limit=MAX_PAGE, since=_resolve_age(since), until=_resolve_age(until)))
        return
    with app_context.open_server() as server:
        sync = find_sync(server, sync_id)
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


def _resolve_age(text: str | None) -> str | None:
    """Write what is so long ago, such as 2d or 12h, as an instant; anything else is the server's to read."""
    if text is None or not (age := _AGE.fullmatch(text)):
        return text
    past = timedelta(**{_AGE_UNITS[age["unit"]]: int(age["count"])})
    return f"{read_now() - past:%Y-%m-%dT%H:%M:%SZ}"


def _read_lines(app_context: AppContext, server: Server, name: str, *, follow: bool) -> Iterator[str]:
    if follow:
        yield from app_context.create_waiter(server).follow_log(name)
    else:
        yield from server.fetch_log(name).splitlines()


def _require_wait(*, wait: bool, timeout: float | None) -> None:
    if timeout is not None and not wait:
        raise UsageError("--timeout needs --wait.")


def _start(server: Server, query: StartQuery) -> Started:
    """Start; when it is unknown whether that worked, say how to repeat it without starting two."""
    again = f"To repeat exactly this start, add: --idempotency-key {shlex.quote(query.idempotency_key)}"
    try:
        return server.start(query)
    except UnavailableError as error:
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
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False)],
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


app.command()(start)
app.command("list")(list_syncs)
app.command()(status)
app.command()(logs)
app.command()(cancel)
app.command()(redeliver)
app.command()(doctor)
app.command()(completion)

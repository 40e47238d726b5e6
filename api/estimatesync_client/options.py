"""The options and arguments of the commands: how each is written, and its line in the help.

The words for what is wrong with one are `core.arguments`'. Flags have no `metavar`: they take nothing.
"""

from collections.abc import Callable
from datetime import date
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from estimatesync_client.adapters.terminal import Output
from estimatesync_client.core.arguments import (
    STATUSES,
    parse_choice,
    parse_count,
    parse_day,
    parse_idempotency_key,
    parse_seconds,
)
from estimatesync_client.core.lookup import LATEST
from estimatesync_client.core.problems import URL_VARIABLE

_SYNC_HELP: Final = f"The sync's id, the start or the end of one, or {LATEST}."


class Shell(StrEnum):
    """What `completion` writes for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def _choosing(name: str, kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    """Parse one of a few words that the shell completes, too."""
    return lambda text: kind(parse_choice(name, str(text), tuple(kind)))


def show_version(is_asked: bool) -> None:  # noqa: FBT001 - typer passes it by position
    """Show the version and exit."""
    if is_asked:
        typer.echo(f"estimatesync {version('estimatesync')}")
        raise typer.Exit


def _flag(*names: str, help: str) -> Any:  # noqa: A002, ANN401 - as in typer
    return typer.Option(*names, help=help, show_default=False, metavar="")


UrlOption = Annotated[
    str, typer.Option("--url", envvar=URL_VARIABLE, metavar="URL", help="Where the API is.", show_envvar=True)
]
PatienceOption = Annotated[
    float | None,
    typer.Option(
        "--patience",
        parser=partial(parse_seconds, "--patience"),
        metavar="SECONDS",
        help="How long to retry. By default 30 while the server is busy, not at all where none answers, and 300 with "
        "--wait, --watch and --follow.",
    ),
]
VersionOption = Annotated[
    bool,
    typer.Option("--version", help="Show the version, and exit.", is_eager=True, callback=show_version, metavar=""),
]
SyncArgument = Annotated[str, typer.Argument(metavar="ID", help=_SYNC_HELP, show_default=False)]
OptionalSyncArgument = Annotated[str, typer.Argument(metavar="ID", help=_SYNC_HELP, show_default=False)]
ShellArgument = Annotated[
    Shell,
    typer.Argument(
        parser=_choosing("SHELL", Shell),
        autocompletion=lambda: list(Shell),
        metavar="SHELL",
        help="bash, zsh or fish.",
        show_default=False,
    ),
]
OutputOption = Annotated[
    Output,
    typer.Option(
        *("--output", "-o"),
        parser=_choosing("--output", Output),
        autocompletion=lambda: list(Output),
        metavar="text|json",
        help="Text for people, or one JSON document.",
    ),
]
WaitOption = Annotated[bool, _flag("--wait", "-w", help="Wait for the end, and exit with the sync's outcome.")]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        parser=partial(parse_seconds, "--timeout"),
        metavar="SECONDS",
        help="Wait at most this long; the sync continues.",
    ),
]

# What to sync, and where the outcome goes.
FromOption = Annotated[
    date | None, typer.Option("--from", parser=parse_day, metavar="DAY", help="First day, such as 2025-09-01.")
]
ToOption = Annotated[
    date | None, typer.Option("--to", parser=parse_day, metavar="DAY", help="Last day; today by default.")
]
DaysOption = Annotated[
    int | None,
    typer.Option(
        "--days",
        parser=partial(parse_count, "--days", minimum=0, maximum=10_000),
        metavar="N",
        help="Begin so many days before the last day.",
    ),
]
ChangesOption = Annotated[
    bool, _flag("--changes", help="Read only what has changed since an earlier sync, where one serves.")
]
TargetOption = Annotated[
    list[str] | None,
    typer.Option("--callback", metavar="NAME", help="A callback target by name; again for several."),
]
MetadataOption = Annotated[
    list[str] | None,
    typer.Option("--metadata", metavar="NAME=TEXT", help="Comes back with the callback; again for several."),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        parser=parse_idempotency_key,
        metavar="TEXT",
        help="Starts with the same text are one start; a random one by default.",
    ),
]

# Which syncs to list.
StatusOption = Annotated[
    list[str] | None,
    typer.Option("--status", "-s", metavar="STATUS", help=f"Only these: {', '.join(STATUSES)}."),
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Requested on or after this day or instant, or 2d ago."),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Requested up to this day (all of it) or instant.")
]
LimitOption = Annotated[
    int,
    typer.Option(
        *("--limit", "-n"),
        parser=lambda text: parse_count("--limit", str(text), minimum=1, maximum=10_000),
        metavar="N",
        help="How many at most.",
    ),
]
CursorOption = Annotated[
    str | None, typer.Option("--cursor", metavar="TEXT", help="The next_cursor of an earlier list.", show_default=False)
]
WatchOption = Annotated[bool, _flag("--watch", "-w", help="Show what changes, until Ctrl-C.")]
FailedOption = Annotated[
    bool,
    _flag("--failed", help="All that were not delivered, of syncs that were requested within --since and --until."),
]

# Of a log.
FollowOption = Annotated[bool, _flag("--follow", "-f", help="Continue until the sync has ended.")]
TailOption = Annotated[
    int | None,
    typer.Option(
        "--tail",
        parser=partial(parse_count, "--tail", minimum=0, maximum=1_000_000),
        metavar="N",
        help="Begin with the last N lines.",
    ),
]

# Of doctor.
EnvFileOption = Annotated[
    Path | None,
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="Settings of the deployment to try from here, such as the .env of one machine.",
    ),
]


class Command(TyperCommand):
    """A command whose help shows what is typed, without the types of Python."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - typer keeps these types to itself
        return _without_types(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401 - as above
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


class CommandGroup(TyperGroup):
    """The same for the program as a whole."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - as above
        return _without_types(super().get_params(ctx))


def _without_types(parameters: list[Any]) -> list[Any]:
    for each in parameters:
        if isinstance(each, TyperArgument):
            # There is no other way to leave it out: a metavar is its name.
            each.display_type_rich = lambda ctx: None  # type: ignore[method-assign]  # noqa: ARG005
        elif each.name == "help":
            each.metavar = ""
    return parameters

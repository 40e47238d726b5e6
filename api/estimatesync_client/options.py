"""The options and arguments that commands share, each with its help. Read by typer."""

from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer

from estimatesync_client.finding_syncs import LATEST
from estimatesync_client.settings import URL_VARIABLE
from estimatesync_client.terminal import Output

DAY_FORMAT: Final = "%Y-%m-%d"

UrlOption = Annotated[
    str, typer.Option("--url", envvar=URL_VARIABLE, metavar="URL", help="Where the API is.", show_envvar=True)
]
PatienceOption = Annotated[
    float | None,
    typer.Option(
        "--patience",
        min=0,
        metavar="SECONDS",
        help="For how long a server that is away is asked again: 30 unless told, 300 while a sync is waited for.",
    ),
]
SyncArgument = Annotated[
    str, typer.Argument(metavar="ID", help=f"The sync's id, the beginning of it, or {LATEST}.", show_default=False)
]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="Text for people, or one JSON document.", case_sensitive=False)
]
WaitOption = Annotated[
    bool, typer.Option("--wait", "-w", help="Wait for the end, and exit with the sync's outcome.", show_default=False)
]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout", min=0, metavar="SECONDS", help="Wait no longer than this; the sync goes on."),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        metavar="TEXT",
        help="The same text starts one sync, however often; a new one is drawn unless given.",
    ),
]
StatusOption = Annotated[
    list[str] | None,
    typer.Option("--status", "-s", metavar="STATUS", help="Only these: queued, running, succeeded, failed, cancelled."),
]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Asked for on or after this day or instant.")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Asked for up to this day (all of it) or instant.")
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many at most.")]
CursorOption = Annotated[
    str | None, typer.Option("--cursor", metavar="TEXT", help="The next_cursor of an earlier list.", show_default=False)
]
FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on until the sync has ended.", show_default=False)
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
    datetime | None, typer.Option("--to", formats=[DAY_FORMAT], metavar="DAY", help="Last day; today unless given.")
]


def show_version(is_asked: bool) -> None:  # noqa: FBT001 - typer passes it by position
    """Show the version, and end."""
    if is_asked:
        typer.echo(f"estimatesync {version('estimatesync')}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option("--version", help="Show the version, and exit.", is_eager=True, callback=show_version, metavar=""),
]

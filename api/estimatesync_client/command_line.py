"""Puts the command line together and runs it: `main` calls `run`, and ends with what that returns."""

import os

import typer

from estimatesync_client import commands, options
from estimatesync_client.doctor_command import doctor
from estimatesync_client.errors import ClientError
from estimatesync_client.exit_codes import Exit
from estimatesync_client.program import Program, get_program
from estimatesync_client.settings import DEFAULT_URL

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: " + ", ".join(f"{exit_.code} {exit_.name.lower().replace('_', ' ')}" for exit_ in Exit) + ".",
)


def run() -> int:
    """Run the command line of this process, and return its exit code."""
    program = Program(os.environ)
    try:
        app(obj=program, prog_name="estimatesync")
    except ClientError as error:
        program.terminal.write_error(error)
        return error.exit.code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.DONE.code
    return Exit.DONE.code


@app.callback()
def configure(
    context: typer.Context,
    *,
    url: options.UrlOption = DEFAULT_URL,
    patience: options.PatienceOption = None,
    show_version: options.VersionOption = False,  # noqa: ARG001 - its callback has acted
) -> None:
    """Start syncs of Attic Tech estimates, follow them, and find out what is wrong.

    The API key is read from ESTIMATESYNC_API_KEY.
    """
    program = get_program(context)
    program.url = url
    program.patience = patience


app.command()(commands.start)
app.command("list")(commands.list_syncs)
app.command()(commands.status)
app.command()(commands.logs)
app.command()(commands.cancel)
app.command()(commands.redeliver)
app.command()(doctor)

"""The command line: `inspect` proposes a mapping, `plan` and `run` import by it, `compare` checks.

Exit codes: 0 done, or equal; 1 found something that needs attention; 2 failed.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Final

from estimatesync_contract.job_environment import DATABASE_URL
from estimatesync_contract.legacy_settings import accept_old_names
from estimatesync_contract.settings import SettingsError
from estimatesync_contract.tls_trust import name_system_authorities

from estimatesync_import.adapters.comparison import compare_rows
from estimatesync_import.adapters.databases import fetch_schema, open_old_database
from estimatesync_import.adapters.merge import import_rows
from estimatesync_import.adapters.view_script import build_view_script
from estimatesync_import.core.errors import MovingError
from estimatesync_import.core.mapping import IDENTITY, Mapping, parse_mapping
from estimatesync_import.core.proposal import build_proposal, find_old_table, format_mapping_file
from estimatesync_import.reports import format_comparison, format_import
from estimatesync_import.settings import Databases, parse_settings

_LIMIT: Final = 20


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    FOUND = 1
    FAILED = 2


MEANINGS: Final = {
    ExitCode.DONE: "done; `compare`: both are equal",
    ExitCode.FOUND: "something needs attention: differences, or rows or columns that cannot be imported",
    ExitCode.FAILED: "it failed and changed nothing: a setting, the mapping, a permission or a database is wrong",
}


def main(arguments: Sequence[str] | None = None) -> ExitCode:
    """Run one command."""
    options = build_parser().parse_args(arguments)
    name_system_authorities(os.environ)
    # The environment may be the first backend's.
    old = accept_old_names(os.environ, (DATABASE_URL,))
    for note in old.notes:
        print(note, file=sys.stderr)
    try:
        databases = parse_settings(old.environment, faults=old.faults)
        return asyncio.run(_COMMANDS[options.command](databases, options))
    except (MovingError, SettingsError) as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped; what was not committed is undone.", file=sys.stderr)
    return ExitCode.FAILED


async def _inspect(databases: Databases, options: argparse.Namespace) -> ExitCode:
    async with open_old_database(databases) as old:
        schema = await fetch_schema(old)
    proposal = build_proposal(schema, find_old_table(schema, options.table))
    text = format_mapping_file(proposal)
    if options.output is None:
        print(text, end="")
    else:
        _write_new(Path(options.output), text)
        print(f"Written to {options.output}: check each line, then run `plan`.")
    is_usable = any(column.rule for column in proposal.columns if column.target.name == IDENTITY)
    return ExitCode.DONE if is_usable else ExitCode.FOUND


def _write_new(path: Path, text: str) -> None:
    """Write a file, and never over an existing one, which a person may have corrected."""
    with path.open("x", encoding="utf-8") as file:
        file.write(text)


async def _plan(databases: Databases, options: argparse.Namespace) -> ExitCode:
    return await _import(databases, options, is_plan=True)


async def _run(databases: Databases, options: argparse.Namespace) -> ExitCode:
    return await _import(databases, options, is_plan=False)


async def _import(databases: Databases, options: argparse.Namespace, *, is_plan: bool) -> ExitCode:
    report = await import_rows(
        databases,
        _read_mapping(options.mapping),
        is_plan=is_plan,
        keep_ids=options.keep_ids,
        skip_broken=options.skip_broken,
        limit=options.limit,
    )
    print("\n".join(format_import(report)))
    return ExitCode.FOUND if report.problems.broken_rows and not options.skip_broken else ExitCode.DONE


async def _compare(databases: Databases, options: argparse.Namespace) -> ExitCode:
    report = await compare_rows(
        databases,
        _read_mapping(options.mapping),
        start=options.start and _begin_of(options.start),
        end=options.end and _begin_of(options.end + timedelta(days=1)),
        limit=options.limit,
    )
    print("\n".join(format_comparison(report, shows_values=not options.ids_only)))
    is_same = report.comparison.is_equal and not report.problems.broken_rows
    return ExitCode.DONE if is_same else ExitCode.FOUND


async def _handover(databases: Databases, options: argparse.Namespace) -> ExitCode:
    if not databases.is_same:
        raise MovingError(
            "The old table is in another database, where foreign keys and views cannot reach: there is no SQL to write."
        )
    async with open_old_database(databases) as old:
        schema = await fetch_schema(old)
    mapping = _read_mapping(options.mapping)
    print(build_view_script(mapping, schema, our_schema=databases.schema), end="")
    return ExitCode.DONE


def _begin_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _read_mapping(path: str) -> Mapping:
    return parse_mapping(sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes())


_COMMANDS: Final = {"inspect": _inspect, "plan": _plan, "run": _run, "compare": _compare, "handover": _handover}


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; a test compares it with docs/moving.md."""
    parser = argparse.ArgumentParser(
        prog="estimatesync-import", description="Moves the estimates of a first backend over.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="read the old table's columns, and propose a mapping")
    inspect.add_argument("--table", help="the old table, as schema.table (default: the one called estimate(s))")
    inspect.add_argument("--output", help="a new file for the mapping (default: print it)")
    for name, text in (("plan", "show what an import would do, and change nothing"), ("run", "import")):
        _add_import_options(commands.add_parser(name, help=text))
    compare = commands.add_parser("compare", help="compare the old estimates with ours; exit code 1 if they differ")
    _add_common_options(compare)
    compare.add_argument("--start", type=date.fromisoformat, help="first day of Attic Tech's updatedAt, in UTC")
    compare.add_argument("--end", type=date.fromisoformat, help="last day of it (default: no end)")
    compare.add_argument("--ids-only", action="store_true", help="leave out the values, which are customers' data")
    handover = commands.add_parser(
        "handover", help="print the SQL with which tables and readers of the old one continue"
    )
    handover.add_argument("--mapping", required=True, help="the mapping file; - reads it from standard input")
    return parser


def _add_common_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--mapping", required=True, help="the mapping file; - reads it from standard input")
    command.add_argument("--limit", type=int, default=_LIMIT, help="examples to show (default: 20)")


def _add_import_options(command: argparse.ArgumentParser) -> None:
    _add_common_options(command)
    command.add_argument("--keep-ids", action="store_true", help="give each estimate the id of its old row")
    command.add_argument("--skip-broken", action="store_true", help="import the other rows when some are broken")

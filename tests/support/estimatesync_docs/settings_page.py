"""Makes `docs/reference/settings.md` and `.env.example` out of the parts' tables of settings. Pure."""

from collections.abc import Iterable
from typing import Final

from estimatesync_api.settings import API_SETTINGS
from estimatesync_client.settings import CLIENT_SETTINGS
from estimatesync_contract.settings import Setting
from estimatesync_import.settings import IMPORT_SETTINGS
from estimatesync_job.settings import SYNC_SETTINGS
from estimatesync_local.core.env_template import format_env_template, format_measure
from estimatesync_local.settings import LOCAL_SETTINGS
from estimatesync_operator.callback.settings import CALLBACK_FILES, CALLBACK_SETTINGS
from estimatesync_operator.settings import (
    CLUSTER_SETTINGS,
    JOB_SETTINGS,
    PROGRAM_SETTINGS,
    RECONCILER_SETTINGS,
)
from estimatesync_tracing.settings import TRACING_SETTINGS

from estimatesync_docs.tables import format_code, format_page, format_table

_INTRODUCTION: Final = """
Each is an environment variable; a blank value counts as not set. They are read once, when the part starts; everything
that is missing or wrong is reported in one message, which never repeats the value of a secret. On a cluster the chart
sets them by its [values](../../charts/estimatesync/README.md); on one machine they are in `.env`.
"""
_ONE_MACHINE: Final = """
In `.env`, or in the environment, which wins: `.env.example` is the same list to copy and fill in. Nothing else in it
changes what the server does.
"""
_TRACES: Final = """
Of API, operator and sync program alike; the operator hands them on to the sync pods, the headers by the name of their
Secret. They are OpenTelemetry's own, and its others work as well. [What is traced](../observability.md#traces).
"""
_SYNC_PROGRAM: Final = """
Given by the operator, or by one machine; here for whoever runs the program by hand, `python -m estimatesync_job`.
"""
_IMPORT: Final = """
For `estimatesync-import`, see [moving over](../moving.md).
"""
_ENV_EXAMPLE: Final = """\
# EstimateSync on one machine: copy this file to .env, fill in the first two settings, and run `make local`.
# A variable of the environment wins over this file. A line that is commented out shows the default.
# Made from the code by `make reference`; edit your copy, not this file.
"""


def format_settings_page() -> str:
    """Write the page."""
    return format_page(
        "Settings",
        _INTRODUCTION.strip(),
        "## One machine",
        _ONE_MACHINE.strip(),
        *(part for heading, rows in LOCAL_SETTINGS.items() for part in (f"### {heading}", _format_rows(rows))),
        "## API",
        _format_rows(API_SETTINGS),
        "## Operator",
        _format_rows((*CLUSTER_SETTINGS, *RECONCILER_SETTINGS)),
        "### Callbacks",
        _format_rows((*CALLBACK_SETTINGS, *CALLBACK_FILES)),
        "### Sync pods",
        _format_rows((*JOB_SETTINGS, *PROGRAM_SETTINGS)),
        "## Traces",
        _TRACES.strip(),
        _format_rows(TRACING_SETTINGS),
        "## Sync program",
        _SYNC_PROGRAM.strip(),
        _format_rows(SYNC_SETTINGS),
        "## Command line",
        _format_rows(CLIENT_SETTINGS),
        "## Import",
        _IMPORT.strip(),
        _format_rows(IMPORT_SETTINGS),
    )


def format_env_example() -> str:
    """Write the file that one machine's settings are copied from."""
    return format_env_template(_ENV_EXAMPLE, LOCAL_SETTINGS)


def _format_rows(settings: Iterable[Setting[object]]) -> str:
    return format_table(
        ["Variable", "Default", "Unit or values", "Secret", "Meaning"],
        (
            [
                format_code(each.name),
                "required" if each.is_required else format_code(each.default),
                _format_values(each),
                "yes" if each.is_secret else "",
                each.meaning,
            ]
            for each in settings
        ),
    )


def _format_values(setting: Setting[object]) -> str:
    return ", ".join(filter(None, (format_measure(setting), *map(format_code, setting.choices))))

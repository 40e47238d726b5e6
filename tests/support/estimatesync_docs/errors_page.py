"""Makes `docs/reference/errors.md` and `exit-codes.md` out of the parts' tables of what goes wrong. Pure."""

from typing import Final

from estimatesync_api.core.problems import Problem
from estimatesync_client.core.errors import Exit
from estimatesync_contract.causes import CAUSES, Cause, Reason
from estimatesync_contract.result import MEANINGS, ExitCode
from estimatesync_import.main import MEANINGS as IMPORT_MEANINGS
from estimatesync_job.core.errors import SyncError, build_failure

from estimatesync_docs.tables import format_page, format_table

_API: Final = """
The body of an error is always `{"success": false, "message": …, "code": …}`, with `errors` if there are several faults
and `sync_id` if a sync is there all the same. The `code` stays as it is; the sentence may get better. 429, 503 and 504
pass by themselves, and come with `Retry-After`. [The HTTP API](../api.md#errors) says why.
"""
_SYNC: Final = """
`status.reason` of the EstimateSync, `reason` in the API's answers. What the sync program reports of itself, with the
exit code by which the job knows whether another run makes sense; what is seen from outside, and what keeps a sync
waiting, is in [causes](../causes.md).
"""
_PROGRAM: Final = """
By its exit code the sync program tells the job whether to try again; the result, with the reason, is its termination
message. A pod that ends with any other code has been killed, or met a defect, and is tried again, too.
"""


def format_errors_page() -> str:
    """Write the codes of the API, and the reasons of the sync program."""
    causes = {cause.reason: cause for cause in CAUSES}
    return format_page(
        "Errors",
        "## Codes of the API",
        _API.strip(),
        format_problems(),
        "## Reasons of a failed sync",
        _SYNC.strip(),
        format_table(
            ["Reason", "Exit code", "What happened", "What to do"],
            (_format_reason(causes[reason], code) for reason, code in list_program_reasons()),
        ),
    )


def format_exit_codes_page() -> str:
    """Write the exit codes of each program."""
    return format_page(
        "Exit codes",
        "## The sync program",
        _PROGRAM.strip(),
        format_table(
            ["Exit code", "Name", "Meaning"],
            ([str(code.value), f"`{code.name.lower()}`", MEANINGS[code]] for code in ExitCode),
        ),
        "## The command line",
        "`estimatesync`, see [its page](../client.md).",
        format_exits(),
        "## The import",
        "`estimatesync-import`, see [moving over](../moving.md).",
        format_table(["Exit code", "Meaning"], ([str(code.value), text] for code, text in IMPORT_MEANINGS.items())),
    )


def format_problems() -> str:
    """Write a row for each error of the API."""
    rows = ([str(each.status.value), f"`{each.code}`", each.message] for each in Problem)
    return format_table(["Status", "`code`", "Meaning"], rows)


def format_exits() -> str:
    """Write a row for each exit code of the command line."""
    return format_table(["Exit code", "Meaning"], ([str(each.code), each.meaning] for each in Exit))


def _format_reason(cause: Cause, code: ExitCode) -> list[str]:
    return [f"`{cause.reason}`", str(code.value), cause.happened, cause.cure]


def list_program_reasons() -> list[tuple[Reason, ExitCode]]:
    """Ask the program itself what it reports of each of its errors, and of one that it does not know."""
    failures = [build_failure(kind()) for kind in (*SyncError.__subclasses__(), RuntimeError)]
    return [(Reason(failure.error.reason), failure.exit_code) for failure in failures]

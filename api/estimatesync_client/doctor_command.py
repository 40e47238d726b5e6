"""The command `doctor`: gathers the settings that are known here, and tells each finding as soon as it is known."""

import typer
from dotenv import dotenv_values
from estimatesync_contract.job_environment import ATTIC_TECH_URL, DATABASE_URL
from estimatesync_contract.legacy_settings import accept_old_names

from estimatesync_client import options
from estimatesync_client.doctor import examine
from estimatesync_client.exit_codes import Exit
from estimatesync_client.findings import Finding, Verdict
from estimatesync_client.program import get_program
from estimatesync_client.target_settings import parse_targets
from estimatesync_client.terminal import Output, read_now
from estimatesync_client.views import build_findings


def doctor(
    context: typer.Context,
    *,
    env_file: options.EnvFileOption = None,
    output: options.OutputOption = Output.TEXT,
) -> None:
    """Find out what is wrong: server, key, cluster, source login, database, callback target.

    Nothing is started, stored or posted. Attic Tech, the database and the webhook are tried from here when their
    settings are in the environment or in --env-file; otherwise recent syncs tell.
    """
    program = get_program(context, output)
    in_file = dotenv_values(env_file, interpolate=False) if env_file else {}
    settings = {name: value or "" for name, value in in_file.items()} | dict(program.environment)
    # The server takes the first backend's names, so they count here, too.
    known = accept_old_names(settings, (ATTIC_TECH_URL, DATABASE_URL))
    findings: list[Finding] = []
    for finding in examine(program.environment, parse_targets(known.environment), url=program.url, now=read_now):
        findings.append(finding)
        if output is Output.TEXT:
            program.terminal.write_result(build_findings([finding]), None)
    has_fault = any(finding.verdict is Verdict.FAULT for finding in findings)
    if output is Output.JSON:
        program.terminal.write_result("", {"success": not has_fault, "checks": findings})
    raise typer.Exit(Exit.FAULT_FOUND.code if has_fault else Exit.DONE.code)

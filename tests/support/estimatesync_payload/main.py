"""Installs both versions of Payload, or says whether this machine can: a step of its own, which no test waits for."""

import argparse
from collections.abc import Sequence

from estimatesync_cluster.terminal import report

from estimatesync_payload.installation import InstallationError, Version, find_installation, find_node


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m estimatesync_payload", description="A real Payload CMS for tests.")
    parser.add_argument("command", choices=("install", "check-node"))
    settings = parser.parse_args(arguments)
    try:
        find_node()
        if settings.command == "install":
            for version in Version:
                report(f"Payload {version} is in {find_installation(version, report=report)}")
    except InstallationError as error:
        report(str(error))
        return 1
    return 0

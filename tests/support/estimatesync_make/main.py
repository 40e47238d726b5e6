"""Writes the blueprints: `python -m estimatesync_make` (make blueprints)."""

import json
from pathlib import Path
from typing import Final

from estimatesync_make.rules import find_faults
from estimatesync_make.scenarios import BLUEPRINTS, Blueprint

DIRECTORY: Final = Path(__file__).parents[3] / "api" / "estimatesync_api" / "blueprints"


def main() -> None:
    """Write every blueprint, or none.

    Raises:
        SystemExit: A blueprint breaks a rule of the format; all faults are named.
    """
    faults = [f"{name}: {fault}" for name, blueprint in BLUEPRINTS.items() for fault in find_faults(blueprint)]
    if faults:
        raise SystemExit("\n".join(["These blueprints break the rules:", *faults]))
    for name, blueprint in BLUEPRINTS.items():
        (DIRECTORY / name).write_text(build_file(blueprint))


def build_file(blueprint: Blueprint) -> str:
    """Build a blueprint's file as it is written."""
    return json.dumps(blueprint, indent=2, ensure_ascii=False) + "\n"

"""Writes the reference: `python -m estimatesync_docs` (make reference); a test compares the files with the code."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from estimatesync_docs.errors_page import represent_errors_page, represent_exit_codes_page
from estimatesync_docs.resource_page import represent_resource_page
from estimatesync_docs.settings_page import represent_env_example, represent_settings_page

ROOT: Final = Path(__file__).parents[3]
GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "docs/reference/settings.md": represent_settings_page,
    "docs/reference/resource.md": represent_resource_page,
    "docs/reference/errors.md": represent_errors_page,
    "docs/reference/exit-codes.md": represent_exit_codes_page,
    ".env.example": represent_env_example,
}
"""Each file, and what makes it."""


def main() -> None:
    """Write every file."""
    for name, represent in GENERATED.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(represent())

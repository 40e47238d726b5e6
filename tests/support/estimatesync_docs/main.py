"""Writes the reference: `python -m estimatesync_docs` (make reference); a test compares the files with the code."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from estimatesync_docs.errors_page import format_errors_page, format_exit_codes_page
from estimatesync_docs.licences_page import format_licences_page
from estimatesync_docs.page_tables import fill_tables, format_api_tables, format_causes_tables, format_client_tables
from estimatesync_docs.resource_page import format_resource_page
from estimatesync_docs.settings_page import format_env_example, format_settings_page

ROOT: Final = Path(__file__).parents[3]


def _fill(name: str, build: Callable[[], Mapping[str, str]]) -> str:
    return fill_tables((ROOT / name).read_text(), build())


GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "docs/reference/settings.md": format_settings_page,
    "docs/reference/resource.md": format_resource_page,
    "docs/reference/errors.md": format_errors_page,
    "docs/reference/exit-codes.md": format_exit_codes_page,
    "docs/reference/licences.md": format_licences_page,
    ".env.example": format_env_example,
    "docs/api.md": partial(_fill, "docs/api.md", format_api_tables),
    "docs/causes.md": partial(_fill, "docs/causes.md", format_causes_tables),
    "docs/es/causes.md": partial(_fill, "docs/es/causes.md", partial(format_causes_tables, "es")),
    "docs/client.md": partial(_fill, "docs/client.md", format_client_tables),
}
"""Each file, and what makes it; of pages that people write, what makes their tables."""


def main() -> None:
    """Write every file."""
    for name, build in GENERATED.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(build())

"""Writes the table of errors into the page for people: `python -m estimatesync_docs.error_table docs/api.md`.

`make error-table` is that command; a test compares page and table.
"""

import re
import sys
from pathlib import Path
from typing import Final

from estimatesync_api.core.problems import Problem

BEGIN: Final = "<!-- problems -->\n"
END: Final = "<!-- /problems -->"


def format_table() -> str:
    """Write every problem as a row of Markdown."""
    rows = [f"| {problem.status.value} | `{problem.code}` | {problem.message} |" for problem in Problem]
    return "\n".join(["| Status | `code` | Meaning |", "|---|---|---|", *rows, ""])


def main() -> None:
    """Replace what stands between the two marks."""
    page = Path(sys.argv[1])
    table = f"{BEGIN}{format_table()}{END}"
    page.write_text(re.sub(f"{BEGIN}.*?{END}", lambda _: table, page.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    main()

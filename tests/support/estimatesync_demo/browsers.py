"""Finds the browser of this machine, for the pictures of the status page and the tests of it.

`python -m estimatesync_demo.browsers` prints where it is, and ends with 1 when there is none: for `make browser`.
"""

import os
import shutil
import sys
from typing import Final

VARIABLE: Final = "ESTIMATESYNC_BROWSER"
ADVICE: Final = f"no Chromium was found: `make browser` installs one on Debian and Ubuntu; or name yours in {VARIABLE}"
_NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The headless shell first: the same Chromium without what only a window needs, for half of the processor seconds."""


def find_browser() -> str | None:
    """Find a Chromium or Chrome; the one that is named comes first."""
    named = os.environ.get(VARIABLE, "")
    found = [path for name in (named, *_NAMES) if name and (path := shutil.which(name))]
    return found[0] if found else None


def main() -> None:
    """Print where it is.

    Raises:
        SystemExit: There is none.
    """
    path = find_browser()
    if path is None:
        raise SystemExit(1)
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()

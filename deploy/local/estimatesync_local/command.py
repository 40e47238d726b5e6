"""The entry points: the console script `estimatesync-server`, and `python -m estimatesync_local` in a checkout.

Everything else is imported late, so that a missing extra is reported in words.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from estimatesync_local.core.places import choose_home


def main() -> None:
    """Serve as an installed program, whose settings and data have a directory of their own."""
    home = choose_home(os.environ, home=_find_home(), is_root=os.geteuid() == 0)
    if home is None:
        raise SystemExit(
            f"Account {os.geteuid()} has no home directory to keep settings and data in: set HOME, or XDG_STATE_HOME, "
            "to a directory of that account"
        )
    _load()(home=home)


def serve_checkout() -> None:
    """Serve with `.env` and `.local` of the working directory."""
    _load()()


def _find_home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        # Neither HOME nor an entry in /etc/passwd, as for a number that a container is given.
        return None


def _load() -> Callable[..., Any]:
    try:
        from estimatesync_local.main import main as serve  # noqa: PLC0415 - its libraries may be missing
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"{error.name} is not installed. Install the server: uv tool install 'estimatesync[server]', or "
            "pip install 'estimatesync[server]'"
        ) from error
    return serve

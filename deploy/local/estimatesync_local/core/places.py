"""Where the settings and the data of one server are. Pure.

One rule: everything is in one directory, the settings in its `.env`. Only in a checkout the settings are next to the
code, and everything else in `.local`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ENV_FILE: Final = ".env"
_OF_ROOT: Final = Path("/var/lib/estimatesync")
"""An account that PostgreSQL can run as may pass through everything above it, unlike root's own home."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """What the command line and the environment say about both."""

    env_file: Path
    directory: Path | None
    """None: what LOCAL_DIRECTORY in the file says, or its default."""
    is_template_wanted: bool
    """Whether the file is made for a person who has none."""


def choose_home(environment: Mapping[str, str], *, home: Path | None, is_root: bool) -> Path | None:
    """Choose the directory of an installed server that is told nothing else.

    Args:
        environment: XDG_STATE_HOME counts if it is absolute, as the XDG specification says.
        home: of the account; None if it has none.
        is_root: whether the server is started by root.

    Returns:
        None for an account without a home.
    """
    if is_root:
        return _OF_ROOT
    state = Path(environment.get("XDG_STATE_HOME", ""))
    if not state.is_absolute() and home is not None:
        state = home / ".local" / "state"
    return state / "estimatesync" if state.is_absolute() else None


def choose_places(*, env_file: Path | None, directory: Path | None, in_environment: str, home: Path | None) -> Places:
    """Choose both.

    Args:
        env_file: what the command line names.
        directory: the same.
        in_environment: LOCAL_DIRECTORY as the environment has it, or nothing.
        home: the directory of an installed server; None in a checkout.
    """
    named = directory or (Path(in_environment) if in_environment.strip() else None)
    place = named or home
    usual = Path(ENV_FILE) if home is None or place is None else place / ENV_FILE
    return Places(env_file=env_file or usual, directory=place, is_template_wanted=home is not None and env_file is None)

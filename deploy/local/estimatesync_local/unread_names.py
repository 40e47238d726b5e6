"""Which variables of the .env file nobody reads, and which setting each may have been meant for. Pure; `main` logs it.

A file of the first backend, or one that other programs share, holds many such names, and that is no mistake: they are
listed once, in one line. Only one that looks like a setting of ours is worth a warning. What does not look like the
name of a variable is counted and not shown: it may be a line of a private key that another program reads.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Final

from estimatesync_client.settings import KEY_VARIABLE, URL_VARIABLE
from estimatesync_contract.legacy_settings import OLD_DATABASE_URL, OLD_NAMES

from estimatesync_local.settings import HANDED_ON, SETTING_NAMES

_LIKENESS: Final = 0.85
"""A letter or a word more or less; two settings of ours are less alike than that only by chance."""
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}|[a-z][a-z0-9_]{0,63}", re.ASCII)
"""In one case: a line of base64 that has one case only is too short to be of use to anybody."""
_READ: Final = frozenset({*SETTING_NAMES, *HANDED_ON, *OLD_NAMES, OLD_DATABASE_URL, KEY_VARIABLE, URL_VARIABLE})


def find_unread_names(in_file: Collection[str], environment: Mapping[str, str]) -> dict[str, str | None]:
    """Find what the file sets in vain.

    Args:
        in_file: the names in the file.
        environment: all that is set; a setting that has a value is not what another name was meant for.

    Returns:
        Each such name, with the setting that was probably meant.
    """
    open_settings = [name for name in SETTING_NAMES if not environment.get(name, "").strip()]
    return {name: _find_meant(name, open_settings) for name in in_file if name not in _READ}


def _find_meant(name: str, settings: Collection[str]) -> str | None:
    return next(iter(get_close_matches(name.upper(), settings, n=1, cutoff=_LIKENESS)), None)


def format_unread_names(unread: Mapping[str, str | None], file: str) -> tuple[list[str], list[str]]:
    """Write the warnings, one for each name that looks like a setting, and the one line about all others."""
    shown = {name: meant for name, meant in unread.items() if _VARIABLE.fullmatch(name)}
    warnings = [f"nobody reads {name} of {file}: did you mean {meant}?" for name, meant in shown.items() if meant]
    others = [name for name, meant in shown.items() if not meant]
    remarks = [f"nobody here reads these names of {file}: {', '.join(others)}"] if others else []
    if odd := len(unread) - len(shown):
        remarks.append(f"{file} sets {odd} more that nobody here reads; they do not look like names of variables")
    return warnings, remarks

"""Which variables have no effect, and which setting each may have been meant for; every part's `main` logs it.

A file of the first backend, or one that other programs share, holds many such names, which is not a mistake: they are
listed once, in one line. Only one that looks like a setting is worth a warning. What does not look like the name of a
variable is counted and not shown: it may be a line of a private key that another program reads.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Final

_MIN_SIMILARITY: Final = 0.85
"""One letter or one word more or less; two settings are more alike than that only by chance."""
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}|[a-z][a-z0-9_]{0,63}", re.ASCII)
"""In one case: a line of base64 that has one case only is too short to be of use to anyone."""


def find_unknown_settings(
    in_file: Collection[str], environment: Mapping[str, str], *, settings: Collection[str], other_names: Collection[str]
) -> dict[str, str | None]:
    """Find the names that the file sets to no effect.

    Args:
        in_file: the names in the file.
        environment: all that is set; a setting that has a value is not what another name was meant for.
        settings: the names of the settings.
        other_names: what else is read, or known to belong to another program.

    Returns:
        Each such name, with the setting that was probably meant.
    """
    unset = [name for name in settings if not environment.get(name, "").strip()]
    return {name: _find_meant(name, unset) for name in in_file if name not in settings and name not in other_names}


def find_misspelt_settings(environment: Mapping[str, str], settings: Collection[str]) -> list[str]:
    """Write a warning for each variable of a process that looks like one of its settings.

    Of all others nothing is said: most belong to the system.
    """
    unknown = find_unknown_settings(environment, environment, settings=settings, other_names=())
    return format_unknown_settings(unknown, "the environment")[0]


def _find_meant(name: str, settings: Collection[str]) -> str | None:
    return next(iter(get_close_matches(name.upper(), settings, n=1, cutoff=_MIN_SIMILARITY)), None)


def format_unknown_settings(unknown: Mapping[str, str | None], file: str) -> tuple[list[str], list[str]]:
    """Write the warnings, one for each name that looks like a setting, and the one line about all others."""
    shown = {name: meant for name, meant in unknown.items() if _VARIABLE.fullmatch(name)}
    warnings = [f"{name} in {file} is not a setting: did you mean {meant}?" for name, meant in shown.items() if meant]
    others = [name for name, meant in shown.items() if not meant]
    remarks = [f"these names in {file} are not settings of EstimateSync: {', '.join(others)}"] if others else []
    if odd := len(unknown) - len(shown):
        remarks.append(f"{file} sets {odd} more that EstimateSync does not read; they do not look like variable names")
    return warnings, remarks

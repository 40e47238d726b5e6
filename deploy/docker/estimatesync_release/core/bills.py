"""Bills of materials: what is in each file of a release, as SPDX 2.3.

They are read from the records that are in the files themselves: the metadata of installed wheels, the lists of Debian's
package manager in the base. https://spdx.github.io/spdx-spec/v2.3/
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import Any, Final
from urllib.parse import quote

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.utils import canonicalize_name

NAMESPACE: Final = "https://estimatesync.botzilla.io/spdx"
UNKNOWN: Final = "NOASSERTION"
AUTHORS: Final = "Organization: The EstimateSync authors"
LICENSE: Final = "Apache-2.0"


@dataclass(frozen=True, kw_only=True)
class Package:
    """One thing that is in another.

    Attributes:
        name: Its name.
        version: Its version.
        locator: Its package URL (purl).
        license: An SPDX expression, or NOASSERTION.
        said_license: What it says of its license where that is no SPDX expression.
        digest: Its sha256 (hex) where it is a file.
    """

    name: str
    version: str
    locator: str = ""
    license: str = UNKNOWN
    said_license: str = ""
    digest: str = ""


def parse_metadata(text: str) -> Package:
    """Read an installed wheel's METADATA."""
    metadata = HeaderParser().parsestr(text)
    name, version = metadata["Name"], metadata["Version"]
    said = metadata["License-Expression"] or (metadata["License"] or "").strip().partition("\n")[0]
    classified = [each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier", []) if "License ::" in each]
    return Package(
        name=name,
        version=version,
        locator=f"pkg:pypi/{canonicalize_name(name)}@{quote(version)}",
        license=parse_license(said),
        said_license=said or ", ".join(classified),
    )


def parse_license(said: str) -> str:
    """Read a license as an SPDX expression; NOASSERTION where it is none."""
    try:
        return str(canonicalize_license_expression(said))
    except InvalidLicenseExpression:
        return UNKNOWN


def parse_debian_packages(text: str) -> list[Package]:
    """Read what dpkg lists as installed: its status file, or a paragraph without a status in an image without dpkg."""
    found = []
    for paragraph in re.split(r"\n\n+", text.strip()):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if "Package" not in fields or not fields.get("Status", " installed").endswith(" installed"):
            continue
        name, version, machine = fields["Package"], fields["Version"], fields["Architecture"]
        locator = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={machine}"
        found.append(Package(name=name, version=version, locator=locator))
    return found


def build_bill(
    whole: Package, contents: Iterable[Package] = (), *, needs: Iterable[Package] = (), purpose: str, created: str
) -> bytes:
    """Build the document about one file.

    Args:
        whole: the file, with its digest.
        contents: what is in it.
        needs: what it needs and does not hold.
        purpose: its SPDX purpose, such as CONTAINER or LIBRARY.
        created: when, as in `2026-12-01T00:00:00Z`: the time of the commit.
    """
    parts = {(each.locator, each.version): ("DEPENDS_ON", each) for each in needs}
    parts |= {(each.locator, each.version): ("CONTAINS", each) for each in contents}
    numbered = [
        (f"SPDXRef-{number}", *part)
        for number, (_, part) in enumerate(sorted(parts.items(), key=lambda part: part[0]), start=1)
    ]
    root = _describe(whole, "SPDXRef-whole") | {"primaryPackagePurpose": purpose, "supplier": AUTHORS}
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": whole.name,
        "documentNamespace": f"{NAMESPACE}/{quote(whole.name)}/{whole.digest}",
        "creationInfo": {"created": created, "creators": [AUTHORS, f"Tool: estimatesync_release-{whole.version}"]},
        "packages": [root, *(_describe(each, identity) for identity, _, each in numbered)],
        "relationships": [
            _relate("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-whole"),
            *(_relate("SPDXRef-whole", kind, identity) for identity, kind, _ in numbered),
        ],
    }
    return f"{json.dumps(document, indent=1, ensure_ascii=False)}\n".encode()


def _describe(package: Package, identity: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "SPDXID": identity,
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": package.license,
        "copyrightText": UNKNOWN,
    }
    if package.license == UNKNOWN and package.said_license:
        described["licenseComments"] = f"The package says: {package.said_license}"
    if package.locator:
        reference = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl"}
        described["externalRefs"] = [reference | {"referenceLocator": package.locator}]
    if package.digest:
        described["checksums"] = [{"algorithm": "SHA256", "checksumValue": package.digest}]
    return described


def _relate(subject: str, kind: str, other: str) -> Mapping[str, str]:
    return {"spdxElementId": subject, "relationshipType": kind, "relatedSpdxElement": other}

"""Lists what is in the image that runs this, as a CycloneDX bill of materials: Python's and Debian's packages.

Never imported: main.py sends it to the Python of a finished image, so that it lists what is really there. It therefore
uses only the standard library. https://cyclonedx.org/docs/1.6/json/
"""

import json
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import quote

STATUS = Path("/var/lib/dpkg/status")


def list_python_packages() -> Iterator[dict[str, str]]:
    """List the distributions on this interpreter's path."""
    for each in distributions():
        name, version = each.metadata["Name"], each.version
        purl = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version)}"
        yield {"type": "library", "name": name, "version": version, "purl": purl}


def list_debian_packages() -> Iterator[dict[str, str]]:
    """List what dpkg has installed; nothing on another distribution."""
    paragraphs = STATUS.read_text().split("\n\n") if STATUS.exists() else []
    for paragraph in paragraphs:
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").endswith(" installed"):
            name, version, machine = fields["Package"], fields["Version"], fields["Architecture"]
            purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={machine}"
            yield {"type": "library", "name": name, "version": version, "purl": purl}


def build_bill() -> dict[str, object]:
    """Build the document, the same for the same contents."""
    found = {each["purl"]: each for each in (*list_python_packages(), *list_debian_packages())}
    components = [{"bom-ref": purl, **found[purl]} for purl in sorted(found)]
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}


if __name__ == "__main__":
    json.dump(build_bill(), sys.stdout, indent=1)
    sys.stdout.write("\n")

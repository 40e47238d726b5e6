"""Says how a release was made: an in-toto statement with SLSA's predicate, unsigned, and the list of checksums.

Who signs it is the one who built it. Nothing in it differs between two builds of one commit.
https://in-toto.io/Statement/v1, https://slsa.dev/spec/v1.0/provenance
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "https://estimatesync.botzilla.io/release/v1"
DEFAULT_BUILDER: Final = "https://estimatesync.botzilla.io/release/v1/by-hand"


@dataclass(frozen=True, kw_only=True)
class Build:
    """What a release was made from.

    Attributes:
        version: Of the release.
        commit: Of the source, in full.
        source: Where the source is, as a URI.
        builder: Who ran the build, as a URI.
        epoch: Time of the commit.
        locks: sha256 (hex) of each lock by path.
        bases: Digest (`sha256:…`) of each base image by name.
        draft: The checks of a release were not all passed.
    """

    version: str
    commit: str
    source: str
    builder: str
    epoch: int
    locks: Mapping[str, str]
    bases: Mapping[str, str]
    draft: bool = False


def build_statement(build: Build, digests: Mapping[str, str]) -> bytes:
    """Build the statement about files, given their sha256 (hex) by name; one line."""
    materials: list[dict[str, Any]] = [{"uri": build.source, "digest": {"gitCommit": build.commit}}]
    materials += [{"uri": f"file:{path}", "digest": {"sha256": digest}} for path, digest in sorted(build.locks.items())]
    materials += [
        {"uri": f"oci:{name}", "digest": {"sha256": digest.removeprefix("sha256:")}}
        for name, digest in sorted(build.bases.items())
    ]
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(digests.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"version": build.version, "draft": build.draft},
                "internalParameters": {"SOURCE_DATE_EPOCH": build.epoch},
                "resolvedDependencies": materials,
            },
            "runDetails": {"builder": {"id": build.builder}},
        },
    }
    return f"{json.dumps(statement, sort_keys=True, separators=(',', ':'))}\n".encode()


def format_checksums(digests: Mapping[str, str]) -> str:
    """Write checksums as `sha256sum --check` reads them."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))

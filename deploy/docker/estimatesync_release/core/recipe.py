"""Reads from the Dockerfile how an image is to be run, so that a released image and one of `make images` say the same.

Only stages that ship are read, and they only name things (ENV, LABEL, USER, ENTRYPOINT, COPY --from …). What would
have to be run cannot be laid out, and is an error. https://docs.docker.com/reference/dockerfile/
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from estimatesync_release.core.errors import ReleaseError

BASE: Final = "${PYTHON_IMAGE}"
LOCK_TARGET: Final = "/requirements.txt"
UNCOMPILED: Final = "UNCOMPILED"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage of the Dockerfile: what it stands on, and its instructions in order."""

    parent: str
    instructions: tuple[tuple[str, str], ...]


@dataclass(kw_only=True)
class ImageSettings:
    """What an image says of how it is run, and which stages' results are copied into it."""

    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    ports: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    user: str = ""
    directory: str = ""
    copied: list[str] = field(default_factory=list)


def parse_stages(dockerfile: str) -> dict[str, Stage]:
    """Read the stages of a Dockerfile by name; what stands before the first one counts for none."""
    stages: dict[str, Stage] = {}
    name, parent, instructions = "", "", list[tuple[str, str]]()
    uncommented = "\n".join(line for line in dockerfile.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n", " ", uncommented).splitlines():
        keyword, _, rest = line.strip().partition(" ")
        if keyword == "FROM":
            parent, _, name = rest.partition(" AS ")
            instructions = []
        elif keyword:
            instructions.append((keyword, rest.strip()))
        if name:
            stages[name] = Stage(parent=parent, instructions=tuple(instructions))
    return stages


def build_settings(stages: Mapping[str, Stage], target: str, arguments: Mapping[str, str]) -> ImageSettings:
    """Build what the image of a target says, with the build arguments in it.

    Raises:
        ReleaseError: there is no such target, or it is more than named.
    """
    settings = ImageSettings()
    for stage, (keyword, rest) in _list_instructions(stages, target):
        value = re.sub(r"\$\{(\w+)\}", lambda found: arguments.get(found[1], found[0]), rest)
        _apply(settings, keyword, value, stage=stage)
    return settings


def find_lock(stages: Mapping[str, Stage], settings: ImageSettings) -> str:
    """Find which lock is installed into an image, as a path in the checkout."""
    for name in settings.copied:
        for keyword, rest in stages[name].instructions:
            if keyword == "COPY" and rest.endswith(f" {LOCK_TARGET}"):
                return rest.removesuffix(LOCK_TARGET).strip()
    raise ReleaseError(f"the Dockerfile does not say which lock is installed: COPY one to {LOCK_TARGET}")


def find_uncompiled(stages: Mapping[str, Stage], settings: ImageSettings) -> str:
    """Find which modules get no bytecode in an image: a pattern, as its installing stage has it; empty for none."""
    for name in settings.copied:
        instructions = [each for _, each in _list_instructions(stages, name)]
        named = [value for keyword, value in instructions if keyword == "ENV" and UNCOMPILED in value]
        if named and any(f"${UNCOMPILED}" in value for keyword, value in instructions if keyword == "RUN"):
            return _parse_pairs(named[-1])[UNCOMPILED]
    return ""


def _list_instructions(stages: Mapping[str, Stage], target: str) -> list[tuple[str, tuple[str, str]]]:
    """From the base to the target."""
    if target == BASE:
        return []
    if target not in stages:
        raise ReleaseError(f"the Dockerfile has no stage {target!r}; it has {', '.join(stages)}")
    stage = stages[target]
    return [*_list_instructions(stages, stage.parent), *((target, each) for each in stage.instructions)]


def _apply(settings: ImageSettings, keyword: str, value: str, *, stage: str) -> None:
    copied = re.fullmatch(r"--from=(\S+) /opt/estimatesync /opt/estimatesync", value)
    match keyword:
        case "ARG":
            pass
        case "ENV":
            settings.environment |= _parse_pairs(value)
        case "LABEL":
            settings.labels |= _parse_pairs(value)
        case "EXPOSE":
            settings.ports += value.split()
        case "ENTRYPOINT":
            settings.entrypoint = json.loads(value)
        case "USER":
            settings.user = value
        case "WORKDIR":
            settings.directory = value
        case "COPY" if copied:
            settings.copied.append(copied[1])
        case _:
            raise ReleaseError(
                f"the Dockerfile's stage {stage} has `{keyword} {value}`, which a release cannot lay out"
            )


def _parse_pairs(value: str) -> dict[str, str]:
    return dict(each.split("=", 1) for each in shlex.split(value))


def build_config(settings: ImageSettings, base: Mapping[str, Any]) -> dict[str, Any]:
    """Build the `config` of an image on that of its base, as a builder does: a new entrypoint ends the base's Cmd."""
    environment = dict(each.split("=", 1) for each in base.get("Env") or []) | settings.environment
    ports = {f"{port}/tcp": dict[str, str]() for port in settings.ports}
    config = {
        "User": settings.user,
        "ExposedPorts": (base.get("ExposedPorts") or {}) | ports,
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Entrypoint": settings.entrypoint,
        "WorkingDir": settings.directory,
        "Labels": (base.get("Labels") or {}) | settings.labels,
    }
    return {name: value for name, value in config.items() if value}

"""Reads values.yaml with its comments: each value's path, default, and the `# --` line above it. Pure."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

_KEY = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):")
_DESCRIPTION = re.compile(r"^ *# -- (.+)$")


@dataclass(frozen=True, kw_only=True)
class ChartValue:
    """One value that a person may set."""

    path: tuple[str, ...]
    default: Any
    description: str

    @property
    def name(self) -> str:
        """The path as `--set` takes it."""
        return ".".join(self.path)


def parse_values(text: str) -> tuple[ChartValue, ...]:
    """Find every described value; ValueError when a value at the end of a branch has no description."""
    tree: dict[str, Any] = yaml.safe_load(text)
    described = dict(_iterate_descriptions(text))
    missing = [".".join(path) for path in _iterate_leaves(tree) if not _is_covered(path, described)]
    if missing:
        raise ValueError(f"no description (`# -- …`) above {', '.join(missing)}")
    return tuple(
        ChartValue(path=path, default=_look_up(tree, path), description=text) for path, text in described.items()
    )


def format_default(value: ChartValue) -> str:
    """Write a default as it is written in YAML's flow style."""
    return json.dumps(value.default, ensure_ascii=False)


def _iterate_descriptions(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    path: list[str] = []
    pending = ""
    for line in text.splitlines():
        if described := _DESCRIPTION.match(line):
            pending = described[1]
        elif key := _KEY.match(line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if pending:
                yield tuple(path), pending
            pending = ""


def _iterate_leaves(tree: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _iterate_leaves(value, (*above, key))
        else:
            yield (*above, key)


def _is_covered(path: tuple[str, ...], described: dict[tuple[str, ...], str]) -> bool:
    return any(path[:length] in described for length in range(1, len(path) + 1))


def _look_up(tree: dict[str, Any], path: tuple[str, ...]) -> Any:  # noqa: ANN401 - a default is of any type
    for key in path:
        tree = tree[key]
    return tree

"""The panels of a dashboard, as far as they are drawn. Pure.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

_VARIABLE: Final = re.compile(r"\$\{?namespace\}?")
_LABEL: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a panel asks Prometheus; `legend` names each series by its labels."""

    expression: str
    legend: str


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One panel; place and size are in units of the grid, which is 24 wide."""

    title: str
    kind: str
    unit: str
    x: int
    y: int
    width: int
    height: int
    queries: tuple[Query, ...]


def parse_panels(dashboard: Mapping[str, Any]) -> tuple[Panel, ...]:
    """Read a dashboard (JSON builtins); its variable stands for every namespace."""
    return tuple(
        Panel(
            title=panel["title"],
            kind=panel["type"],
            unit=panel["fieldConfig"]["defaults"]["unit"],
            x=panel["gridPos"]["x"],
            y=panel["gridPos"]["y"],
            width=panel["gridPos"]["w"],
            height=panel["gridPos"]["h"],
            queries=tuple(
                Query(expression=_VARIABLE.sub(".*", target["expr"]), legend=target["legendFormat"])
                for target in panel["targets"]
            ),
        )
        for panel in dashboard["panels"]
    )


def format_legend(legend: str, labels: Mapping[str, str]) -> str:
    """Write the name of a series."""
    return _LABEL.sub(lambda match: labels.get(match[1], ""), legend).strip()

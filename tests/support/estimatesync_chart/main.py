"""Writes the chart's README.md, values.schema.json and list of time zones: `python -m estimatesync_chart`."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Final

from estimatesync_chart.value_rules import build_schema
from estimatesync_chart.values_file import format_default, parse_values

CHART: Final = Path(__file__).parents[3] / "charts" / "estimatesync"
_BEGIN: Final = "<!-- values: made from values.yaml, `make chart-readme` -->\n"


def main() -> None:
    """Write the files."""
    values = (CHART / "values.yaml").read_text()
    readme = CHART / "README.md"
    readme.write_text(build_readme(readme.read_text(), values))
    (CHART / "values.schema.json").write_text(build_schema_file(values))
    (CHART / "files" / "time-zones.txt").write_text(build_time_zones())


def build_readme(readme: str, values: str) -> str:
    """Build the README with a new table of values; what a person wrote above it stays."""
    rows = [f"| `{each.name}` | `{format_default(each)}` | {each.description} |" for each in parse_values(values)]
    return "\n".join(
        [readme.partition(_BEGIN)[0] + _BEGIN, "| Value | Default | Meaning |", "|---|---|---|", *rows, ""]
    )


def build_schema_file(values: str) -> str:
    """Build the schema as it is written."""
    return json.dumps(build_schema(parse_values(values)), indent=2, ensure_ascii=False) + "\n"


def build_time_zones() -> str:
    """List the time zones of the pinned IANA database; `Factory` is the one of a clock that nobody has set."""
    return "".join(f"{zone}\n" for zone in files("tzdata").joinpath("zones").read_text().split() if zone != "Factory")

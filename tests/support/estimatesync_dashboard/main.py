"""Runs the product under a small load on a real API server, asks Prometheus what the panels ask, and draws the answers.

Fails if a panel is not understood, or shows nothing: a dashboard of wrong names would be empty without a message.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from estimatesync_cluster.cluster import running_cluster
from estimatesync_local.adapters.postgres import EmbeddedPostgres

from estimatesync_dashboard.picture import Line, Panel, Span, build_picture, format_legend, parse_panels
from estimatesync_dashboard.recording import SCRAPE_SECONDS, Prometheus, running_load, running_prometheus

ROOT: Final = Path(__file__).parents[3]
DASHBOARD: Final = ROOT / "charts" / "estimatesync" / "files" / "dashboard.json"
PICTURE: Final = ROOT / "docs" / "images" / "dashboard.svg"
NAMESPACE: Final = "estimates"


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the picture.

    Raises:
        SystemExit: A panel shows nothing.
    """
    parser = argparse.ArgumentParser(prog="python -m estimatesync_dashboard", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="how long the load lasts")
    minutes = parser.parse_args(arguments).minutes
    panels = parse_panels(json.loads(DASHBOARD.read_text()))
    with tempfile.TemporaryDirectory(prefix="estimatesync-dashboard-") as directory:
        # Closed when it is made; where this is root, PostgreSQL's account has to pass through it.
        Path(directory).chmod(0o711)
        lines, span = _collect(panels, minutes=minutes, directory=Path(directory))
    if empty := [panel.title for panel, found in lines.items() if not found]:
        raise SystemExit(f"These panels show nothing: {', '.join(empty)}")
    title = f"{minutes:g} minutes of a small load; drawn from the panels' own queries by Prometheus, not by Grafana"
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(build_picture(lines, title=title, span=span))
    print(f"{PICTURE.relative_to(ROOT)}: {len(lines)} panels, {sum(map(len, lines.values()))} series")


def _collect(
    panels: Sequence[Panel], *, minutes: float, directory: Path
) -> tuple[Mapping[Panel, Sequence[Line]], Span]:
    postgres = EmbeddedPostgres(directory / "postgres")
    postgres.start()
    try:
        with running_cluster() as cluster:
            cluster.kubectl("create", "namespace", NAMESPACE)
            with running_load(cluster, namespace=NAMESPACE, database_url=postgres.url, directory=directory) as load:
                urls = {"operator": load.product.metrics_url, "api": load.product.api_url}
                targets = {job: urlsplit(url).netloc for job, url in urls.items()}
                with running_prometheus(targets, namespace=NAMESPACE, directory=directory) as prometheus:
                    start = datetime.now(UTC)
                    load.run(minutes=minutes)
                    end = datetime.now(UTC)
                    lines = {panel: _ask(prometheus, panel, start, end) for panel in panels}
    finally:
        postgres.stop()
    return lines, Span(start=start.timestamp(), end=end.timestamp())


def _ask(prometheus: Prometheus, panel: Panel, start: datetime, end: datetime) -> tuple[Line, ...]:
    return tuple(
        Line(name=format_legend(query.legend, series.labels), points=series.points)
        for query in panel.queries
        for series in prometheus.fetch_range(query.expression, start=start, end=end, step=SCRAPE_SECONDS)
    )

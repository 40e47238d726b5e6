"""The sample's command line: builds records, serves them, prints its URL."""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sample_attic_tech.records import Record, build_older_version, build_records, parse_instant
from sample_attic_tech.sample import SampleConfig, running_sample
from sample_attic_tech.server import add_port_options, serve_until_stopped


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sample until SIGTERM or SIGINT."""
    options = _build_parser().parse_args(arguments)
    serve_until_stopped(running_sample(_build_config(options)), port=options.port, port_setting=options.port_setting)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sample_attic_tech", description="Serves a sample Attic Tech.")
    defaults = SampleConfig()
    parser.add_argument("--host", default=defaults.host)
    add_port_options(parser, default=defaults.port)
    parser.add_argument("--email", default=defaults.email)
    parser.add_argument("--password", default=defaults.password)
    parser.add_argument("--count", type=int, default=1609, help="how many estimates")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--now", type=parse_instant, help="ISO time of the newest estimate; default: this moment")
    parser.add_argument("--days", type=float, default=45.0, help="how far back estimates reach")
    parser.add_argument("--padding-bytes", type=int, default=0, help="JSON bytes added to each estimate")
    parser.add_argument("--older-versions", action="store_true", help="serve the estimates as they were before")
    parser.add_argument("--page-delay", type=float, default=0.0, help="seconds before each page")
    parser.add_argument("--record-delay", type=float, default=0.0, help="seconds more for each record on a page")
    parser.add_argument("--token-lifetime", type=float, default=7200.0, help="seconds that a login lasts")
    parser.add_argument(
        "--shuffle-ties", action="store_true", help="order equal sort values differently on each request"
    )
    return parser


def _build_config(options: argparse.Namespace) -> SampleConfig:
    return SampleConfig(
        records=_build_records(options),
        email=options.email,
        password=options.password,
        page_delay_seconds=options.page_delay,
        record_delay_seconds=options.record_delay,
        token_lifetime=timedelta(seconds=options.token_lifetime),
        shuffle_ties=options.shuffle_ties,
        host=options.host,
        port=options.port,
    )


def _build_records(options: argparse.Namespace) -> list[Record]:
    now = options.now or datetime.now(UTC)
    span = timedelta(days=options.days)
    records = build_records(options.count, options.seed, now, span=span, padding_bytes=options.padding_bytes)
    return [build_older_version(record) for record in records] if options.older_versions else records

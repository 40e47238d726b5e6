"""A sample Attic Tech: a small Payload CMS over real sockets, and a receiver for callbacks.

The demos and the tests use it in place of the real service; product code never imports it. Run it in its own process
with `python -m sample_attic_tech`, or in a thread of a test with `running_sample`. How it answers follows Payload 3 on
PostgreSQL; where Payload leaves a choice, the choice is the one that shows a client's mistake. The receiver is
imported as `sample_attic_tech.receiver`, because it is a program of its own too.
"""

from sample_attic_tech.listing import AllOf, AnyOf, Condition, Page, Where, query
from sample_attic_tech.records import Record, build_older_version, build_records, format_timestamp, parse_instant
from sample_attic_tech.sample import RecordStore, RunningSample, SampleConfig, running_sample
from sample_attic_tech.server import Delay, Fault, Request, Reset, Response, Truncate

__all__ = [
    "AllOf",
    "AnyOf",
    "Condition",
    "Delay",
    "Fault",
    "Page",
    "Record",
    "RecordStore",
    "Request",
    "Reset",
    "Response",
    "RunningSample",
    "SampleConfig",
    "Truncate",
    "Where",
    "build_older_version",
    "build_records",
    "format_timestamp",
    "parse_instant",
    "query",
    "running_sample",
]

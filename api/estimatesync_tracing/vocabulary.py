"""Every span name and attribute of ours, in one place; docs/observability.md explains each, and a test compares.

Where OpenTelemetry has a name for it, that is the name: https://opentelemetry.io/docs/specs/semconv/.
"""

from enum import StrEnum


class SpanName(StrEnum):
    """What a span is about. A request to the API is named `{method} {route}` instead."""

    SYNC = "sync"
    QUEUED = "sync queued"
    STARTING = "sync starting"
    JOB = "sync job"
    CALLBACK = "callback attempt"
    RUN = "sync run"
    LOGIN = "login"
    FETCH_PAGE = "fetch page"
    FETCH_CHANGES = "fetch changes"
    CONNECT = "connect database"
    COPY = "copy rows"
    MERGE = "merge"


class Attribute(StrEnum):
    """What a span says of itself. None ever holds a secret, a URL's path or query, or a record."""

    SYNC_ID = "estimatesync.sync.id"
    SYNC_UID = "estimatesync.sync.uid"
    START_DATE = "estimatesync.date_range.start"
    END_DATE = "estimatesync.date_range.end"
    PHASE = "estimatesync.phase"
    REASON = "estimatesync.reason"
    FETCHED = "estimatesync.fetched"
    NEW = "estimatesync.new"
    UPDATED = "estimatesync.updated"
    UNCHANGED = "estimatesync.unchanged"
    SKIPPED = "estimatesync.skipped"
    RUNS = "estimatesync.runs"
    PAGE = "estimatesync.page"
    RECORDS = "estimatesync.records"
    BYTES = "estimatesync.bytes"
    ATTEMPT = "estimatesync.callback.attempt"
    METHOD = "http.request.method"
    ROUTE = "http.route"
    STATUS = "http.response.status_code"

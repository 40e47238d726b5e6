"""What a person asks for: the spec of an EstimateSync, with the bounds and defaults that the CRD enforces."""

from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

DEFAULT_RANGE_DAYS: Final = 45
DNS_SUBDOMAIN_PATTERN: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
DATA_KEY_PATTERN: Final = r"^[-._a-zA-Z0-9]+$"
DEFAULT_TTL_SECONDS: Final = 604_800
"""A week: what the operator takes for a sync that names no ttlSecondsAfterFinished."""
MAX_TTL_SECONDS: Final = 31_536_000
DEFAULT_CONCURRENCY: Final = 8
DEFAULT_TIMEOUT_SECONDS: Final = 3600
DEFAULT_MAX_RETRIES: Final = 2
MAX_PAGE_SIZE: Final = 1000
MAX_CONCURRENCY: Final = 32
MAX_TIMEOUT_SECONDS: Final = 604_800
MAX_MAX_RETRIES: Final = 10
MAX_CALLBACK_TARGETS: Final = 8
"""Of one sync: each has its record in the status."""
DEFAULT_TARGET: Final = "default"
"""Names the webhook of every sync that names no target."""
TARGET_NAME_MAX_LENGTH: Final = 32
TARGET_NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$"

METADATA_MAX_LENGTH: Final = 2048
"""In bytes of JSON."""
NO_METADATA: Final = "null"

MetadataFields = dict[str, str | int | float | bool | None]

TargetName = Annotated[str, Meta(min_length=1, max_length=TARGET_NAME_MAX_LENGTH, pattern=TARGET_NAME_PATTERN)]

PageSize = Annotated[int, Meta(ge=1, le=MAX_PAGE_SIZE)]
Concurrency = Annotated[int, Meta(ge=1, le=MAX_CONCURRENCY)]
TimeoutSeconds = Annotated[int, Meta(ge=1, le=MAX_TIMEOUT_SECONDS)]
MaxRetries = Annotated[int, Meta(ge=0, le=MAX_MAX_RETRIES)]

_WHEN_ABSENT: Final = "when absent, what the operator is set to: unless it is set,"
SHORTEST_DEFAULT_TTL_SECONDS: Final = 86_400
"""An Idempotency-Key is remembered as long as its sync exists, and is promised to be remembered for a day."""


class Options(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How a sync runs, once all of it is settled: by its spec, or by the deployment where the spec says nothing."""

    page_size: Annotated[
        PageSize | None, Meta(description="Records asked for in one request; absent: 100 or what suits the records.")
    ] = None
    concurrency: Annotated[Concurrency, Meta(description="Pages in flight at most.")]
    timeout_seconds: Annotated[TimeoutSeconds, Meta(description="For the whole sync, retries included.")]
    max_retries: Annotated[MaxRetries, Meta(description="Pods after the first one.")]


DEFAULT_OPTIONS: Final = Options(
    concurrency=DEFAULT_CONCURRENCY, timeout_seconds=DEFAULT_TIMEOUT_SECONDS, max_retries=DEFAULT_MAX_RETRIES
)


class DateRange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whole days, both ends included, in the configured time zone."""

    start: Annotated[date, Meta(description="The first day.")]
    end: Annotated[date, Meta(description="The last day.")]


def compute_default_range(today: date) -> DateRange:
    """The seed's default: today and the 45 days before it."""
    return DateRange(start=today - timedelta(days=DEFAULT_RANGE_DAYS), end=today)


def is_default_range(days: DateRange, day: date) -> bool:
    """Whether these are the days that a sync gets which is asked for on this day, in whatever time zone."""
    return days == compute_default_range(days.end) and abs(days.end - day) <= timedelta(days=1)


class Mode(StrEnum):
    """How much of its days a sync asks for."""

    WHOLE = "Whole"
    CHANGES = "Changes"


class SecretKeyRef(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One key of one Secret in the sync's own namespace."""

    name: Annotated[
        str, Meta(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN_PATTERN, description="The Secret's name.")
    ]
    key: Annotated[str, Meta(min_length=1, max_length=253, pattern=DATA_KEY_PATTERN, description="The key in it.")]


class CallbackSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Whether, and where, the outcome is posted."""

    enabled: Annotated[bool, Meta(description="false: no callback is sent when the sync ends.")] = True
    url_secret_ref: Annotated[
        SecretKeyRef | None,
        Meta(
            description="Holds the webhook's URL; the operator's own URL when absent. Must be allowed by the operator."
        ),
    ] = None
    targets: Annotated[
        tuple[TargetName, ...],
        Meta(
            max_length=MAX_CALLBACK_TARGETS,
            description="Names of the webhooks that get the outcome, as the operator knows them; the default one when"
            " absent, which is named default.",
        ),
    ] = ()


class EstimateSyncSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One pull of estimates from Attic Tech into PostgreSQL. Immutable, except for cancel and suspend."""

    date_range: Annotated[
        DateRange | None,
        Meta(description="Days to sync, both included; if absent, today and the 45 days before, set in the status."),
    ] = None
    mode: Annotated[
        Mode | None,
        Meta(
            description="Whole, as when absent: all estimates of these days. Changes: those that have changed since an"
            " earlier sync, where one serves; otherwise, and at least every seven days, all of them."
        ),
    ] = None
    page_size: Annotated[
        PageSize | None,
        Meta(
            description="Records asked for in one request; when absent, what the operator is set to: unless it is set,"
            " 100 or what suits the records."
        ),
    ] = None
    concurrency: Annotated[
        Concurrency | None, Meta(description=f"Pages in flight at most; {_WHEN_ABSENT} {DEFAULT_CONCURRENCY}.")
    ] = None
    timeout_seconds: Annotated[
        TimeoutSeconds | None,
        Meta(description=f"For the whole sync, retries included; {_WHEN_ABSENT} {DEFAULT_TIMEOUT_SECONDS}."),
    ] = None
    max_retries: Annotated[
        MaxRetries | None, Meta(description=f"Pods after the first one; {_WHEN_ABSENT} {DEFAULT_MAX_RETRIES}.")
    ] = None
    ttl_seconds_after_finished: Annotated[
        Annotated[int, Meta(ge=0, le=MAX_TTL_SECONDS)] | None,
        Meta(
            description="The finished sync and its job are removed after this time, the newest that has succeeded when"
            " a newer one has; when absent, when the operator says: after a week unless it is set otherwise."
        ),
    ] = None
    callback: CallbackSpec = CallbackSpec()
    metadata: (
        Annotated[
            str,
            Meta(
                max_length=METADATA_MAX_LENGTH,
                description="What the callback says besides: a JSON object of texts, numbers, true, false and null, as"
                " text; it comes back with the same values.",
            ),
        ]
        | None
    ) = None
    cancel: Annotated[bool, Meta(description="true stops the sync and keeps its record.")] = False
    suspend: Annotated[bool, Meta(description="true keeps a sync that has not started waiting, outside the queue.")] = (
        False
    )

    def __post_init__(self) -> None:
        """Refuse metadata that no callback could carry.

        Raises:
            ValueError: They are not what `metadata` describes.
        """
        if self.metadata is not None:
            parse_metadata(self.metadata)


def parse_metadata(text: str) -> MetadataFields:
    """Read metadata as they are stored.

    Raises:
        ValueError: Not JSON, not flat, or too long; the message quotes nothing.
    """
    if len(text.encode()) > METADATA_MAX_LENGTH:
        raise ValueError(f"metadata: send at most {METADATA_MAX_LENGTH} bytes")
    try:
        return msgspec.json.decode(text, type=MetadataFields)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError(
            "metadata: send an object of texts, numbers, true, false and null, without lists or objects in it"
        ) from None


def resolve_options(spec: EstimateSyncSpec, defaults: Options) -> Options:
    """Settle how a sync runs: what its spec leaves open, a deployment decides."""
    chosen = {field: value for field in Options.__struct_fields__ if (value := getattr(spec, field)) is not None}
    return msgspec.structs.replace(defaults, **chosen)

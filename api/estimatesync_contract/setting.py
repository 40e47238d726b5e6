"""What a setting is to a person: its name, what it means, what it is without being set.

Each part lists its own in `setting_list`; the reference and `.env.example` are made from these lists, and tests compare
them with what the part really reads. What several parts are told under one name is described here, once.
"""

from typing import Final

import msgspec

from estimatesync_contract import job_environment as env


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One environment variable."""

    name: str
    meaning: str
    """One sentence or two, without a full stop at the end."""
    default: str = ""
    """As it would be set; empty when there is none, or when it cannot be written down."""
    unit: str = ""
    low: int | None = None
    high: int | None = None
    """Bounds of a whole number, both included."""
    choices: tuple[str, ...] = ()
    is_required: bool = False
    is_secret: bool = False


FLAG: Final = ("false", "true")

TIME_ZONE: Final = Setting(
    name="TIME_ZONE",
    meaning="IANA name of the zone whose calendar says which day is today, such as `America/New_York`",
    default=env.DEFAULT_TIME_ZONE,
)
ATTIC_TECH_URL: Final = Setting(
    name=env.ATTIC_TECH_URL, meaning="Where Attic Tech is", default=env.DEFAULT_ATTIC_TECH_URL
)
ATTIC_TECH_EMAIL: Final = Setting(
    name=env.ATTIC_TECH_EMAIL,
    meaning="The login whose estimates are synced",
    is_required=True,
    is_secret=True,
)
ATTIC_TECH_PASSWORD: Final = Setting(
    name=env.ATTIC_TECH_PASSWORD, meaning="Its password", is_required=True, is_secret=True
)
DATABASE_URL: Final = Setting(
    name=env.DATABASE_URL,
    meaning="`postgresql://user:password@host:5432/database`, with `?sslmode=verify-full` where TLS is to be checked",
    is_required=True,
    is_secret=True,
)
DATABASE_SCHEMA: Final = Setting(
    name=env.DATABASE_SCHEMA,
    meaning="The schema that gets the tables `estimate`, `branch`, `sales_person`, …",
    default=env.DEFAULT_DATABASE_SCHEMA,
)
DATABASE_WAIT_SECONDS: Final = Setting(
    name=env.DATABASE_WAIT_SECONDS,
    meaning="How long a sync waits for a database that is away when it starts",
    default=str(env.DEFAULT_DATABASE_WAIT_SECONDS),
    unit="seconds",
    low=0,
    high=3600,
)
SYNC_MAX_SKIPPED_PERCENT: Final = Setting(
    name=env.SYNC_MAX_SKIPPED_PERCENT,
    meaning="Share of broken estimates that a sync skips and names; with more, it stores nothing and fails",
    default=str(env.DEFAULT_MAX_SKIPPED_PERCENT),
    unit="percent",
    low=0,
    high=100,
)

"""Settings: what each is to a person, and how it is read. A part's table of settings is what its reader reads by.

From the same tables come the reference, `.env.example` and the chart's rules. All faults are reported together, each
names its variable and what it takes, and none repeats a value, which may be a secret. A blank value counts as not set.
What several parts read under one name is described here, once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from estimatesync_contract import job_environment as env

T = TypeVar("T")


class SettingsError(Exception):
    """The settings cannot be used; `faults` says, one sentence each, what to set."""

    def __init__(self, faults: list[str]) -> None:
        """Join the faults into a message for a person."""
        super().__init__("These settings need attention:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = faults


@dataclass(frozen=True, kw_only=True)
class Setting(Generic[T]):
    """One environment variable, of a kind that the subclasses know how to parse.

    Attributes:
        meaning: one sentence or two, without a full stop at the end.
        default: as it would be set; empty when there is none, or when it cannot be written down.
        cure: completes `NAME is not set: …` for a setting that is required.
        is_secret: never shown, and never a command-line argument.
    """

    name: str
    meaning: str
    default: str = ""
    unit: str = ""
    cure: str = ""
    is_required: bool = False
    is_secret: bool = False

    @property
    def low(self) -> int | None:
        """The least whole number; None for other kinds."""
        return None

    @property
    def high(self) -> int | None:
        """The greatest whole number; None for other kinds."""
        return None

    @property
    def values(self) -> tuple[str, ...]:
        """The only values, when there are but a few."""
        return ()

    def parse(self, text: str) -> T:
        """Read a value.

        Raises:
            ValueError: It cannot be used; the message completes `NAME …` and does not repeat the value.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class TextSetting(Setting[str]):
    """Any text, such as a name or a path."""

    def parse(self, text: str) -> str:
        """Take it as it is."""
        return text


@dataclass(frozen=True, kw_only=True)
class IntegerSetting(Setting[int]):
    """A whole number within bounds, both included."""

    minimum: int
    maximum: int

    @property
    def low(self) -> int | None:
        """The least number."""
        return self.minimum

    @property
    def high(self) -> int | None:
        """The greatest number."""
        return self.maximum

    def parse(self, text: str) -> int:
        """Read decimal digits."""
        if text.isascii() and text.isdigit() and self.minimum <= int(text) <= self.maximum:
            return int(text)
        raise ValueError(f"must be a whole number from {self.minimum} to {self.maximum}")


@dataclass(frozen=True, kw_only=True)
class FlagSetting(Setting[bool]):
    """`true` or `false`, in any case."""

    default: str = "false"

    @property
    def values(self) -> tuple[str, ...]:
        """Both words."""
        return ("false", "true")

    def parse(self, text: str) -> bool:
        """Read either word."""
        if text.lower() in self.values:
            return text.lower() == "true"
        raise ValueError("must be true or false")


@dataclass(frozen=True, kw_only=True)
class ChoiceSetting(Setting[str]):
    """One of a few words."""

    choices: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The words."""
        return self.choices

    def parse(self, text: str) -> str:
        """Accept one of the words."""
        if text in self.choices:
            return text
        raise ValueError(f"must be one of {', '.join(sorted(self.choices))}")


@dataclass(frozen=True, kw_only=True)
class TimeZoneSetting(Setting[ZoneInfo]):
    """An IANA time zone."""

    def parse(self, text: str) -> ZoneInfo:
        """Look the zone up."""
        try:
            return ZoneInfo(text)
        except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError, a folder's name an OSError
            raise ValueError("must be an IANA time zone, for example America/New_York") from None


def is_http_url(text: str) -> bool:
    """Tell whether a text is an http(s) URL with a host, a usable port if any, and no control characters."""
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return has_host and parts.scheme in {"http", "https"} and text.isprintable()


class SettingsReader:
    """Reads one setting after another and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str], *, faults: Iterable[str] = ()) -> None:
        """Read from `environ`, usually `os.environ`; `faults` have been found in it already."""
        self._environ = environ
        self.faults: list[str] = list(faults)

    def read(self, setting: Setting[T]) -> T:
        """Read a setting; a value that cannot be used is a fault, and the default stands in for it."""
        text = self._environ.get(setting.name, "").strip()
        if setting.is_required and not text:
            self.faults.append(f"{setting.name} is not set: {setting.cure}")
        try:
            return setting.parse(text or setting.default)
        except ValueError as fault:
            self.faults.append(f"{setting.name} {fault}")
            return setting.parse(setting.default)

    def is_set(self, setting: Setting[T]) -> bool:
        """Tell whether there is a value."""
        return bool(self._environ.get(setting.name, "").strip())

    def raise_faults(self) -> None:
        """Raise SettingsError if anything was wrong so far."""
        if self.faults:
            raise SettingsError(self.faults)


TIME_ZONE: Final = TimeZoneSetting(
    name="TIME_ZONE",
    meaning="IANA name of the zone whose calendar says which day is today, such as `America/New_York`",
    default=env.DEFAULT_TIME_ZONE,
)
ATTIC_TECH_URL: Final = TextSetting(
    name=env.ATTIC_TECH_URL, meaning="Where Attic Tech is", default=env.DEFAULT_ATTIC_TECH_URL
)
ATTIC_TECH_EMAIL: Final = TextSetting(
    name=env.ATTIC_TECH_EMAIL,
    meaning="The login whose estimates are synced",
    is_required=True,
    is_secret=True,
)
ATTIC_TECH_PASSWORD: Final = TextSetting(
    name=env.ATTIC_TECH_PASSWORD, meaning="Its password", is_required=True, is_secret=True
)
DATABASE_URL: Final = TextSetting(
    name=env.DATABASE_URL,
    meaning="`postgresql://user:password@host:5432/database`, with `?sslmode=verify-full` where TLS is to be checked",
    is_required=True,
    is_secret=True,
)
DATABASE_SCHEMA: Final = TextSetting(
    name=env.DATABASE_SCHEMA,
    meaning="The schema that gets the tables `estimate`, `branch`, `sales_person`, …",
    default=env.DEFAULT_DATABASE_SCHEMA,
)
DATABASE_WAIT_SECONDS: Final = IntegerSetting(
    name=env.DATABASE_WAIT_SECONDS,
    meaning="How long a sync waits for a database that is away when it starts",
    default=str(env.DEFAULT_DATABASE_WAIT_SECONDS),
    unit="seconds",
    minimum=0,
    maximum=3600,
)
SYNC_MAX_SKIPPED_PERCENT: Final = IntegerSetting(
    name=env.SYNC_MAX_SKIPPED_PERCENT,
    meaning="Share of broken estimates that a sync skips and names; with more, it stores nothing and fails",
    default=str(env.DEFAULT_MAX_SKIPPED_PERCENT),
    unit="percent",
    minimum=0,
    maximum=100,
)

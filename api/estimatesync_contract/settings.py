"""Settings: one environment variable each, described once, and read by that description.

Each part keeps a table of them in its `settings` module: the reader reads by it, and the reference, `.env.example` and
the chart's rules are made from it. The reader collects all faults; each names its variable and what it takes, and never
repeats the value, which may be a secret. A blank value counts as not set. What several parts read under one name is at
the end of this module.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from ipaddress import ip_address
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from estimatesync_contract import job_environment as env
from estimatesync_contract.callback_url import split_targets
from estimatesync_contract.database_url import add_parameters, check_database_url, check_parameters

_HOST_MAX_LENGTH: Final = 253
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SettingsError(Exception):
    """The settings cannot be used; `faults` says what to set, in one sentence each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("These settings need attention:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = faults


class Setting(msgspec.Struct, Generic[T_co], frozen=True, kw_only=True):
    """One environment variable; the subclasses know how to parse it.

    Attributes:
        meaning: one sentence or two, without a full stop at the end.
        default: as it would be written; empty when there is none, or when it cannot be written down.
        choices: the only values, where they can be listed.
        cure: completes `NAME is not set: …` for a required setting.
        is_secret: never shown, and never a command-line argument.
        keeps_blanks: blanks at either end belong to the value; only line ends are dropped.
    """

    name: str
    meaning: str
    default: str = ""
    unit: str = ""
    choices: tuple[str, ...] = ()
    cure: str = ""
    is_required: bool = False
    is_secret: bool = False
    keeps_blanks: bool = False

    def parse(self, text: str) -> T_co:
        """Parse a value that is not blank.

        Raises:
            ValueError: It cannot be used; the message completes `NAME …` and does not repeat the value.
        """
        raise NotImplementedError

    def parse_default(self) -> T_co:
        """Return what applies when there is no value, or none that can be used."""
        return self.parse(self.default)


class TextSetting(Setting[str], frozen=True, kw_only=True):
    """A text, such as a name or a path.

    Attributes:
        pattern: a regular expression for the whole text; empty: any text.
        rule: completes `NAME …` for a text that does not match.
        max_length: in characters.
    """

    pattern: str = ""
    rule: str = ""
    max_length: int | None = None

    def parse(self, text: str) -> str:
        if self.max_length is not None and len(text) > self.max_length:
            raise ValueError(f"must be at most {self.max_length} characters long")
        if self.pattern and not re.fullmatch(self.pattern, text, re.DOTALL):
            raise ValueError(self.rule)
        return text

    def parse_default(self) -> str:
        return self.default


class ChoiceSetting(TextSetting, frozen=True, kw_only=True):
    """One of `choices`."""

    def parse(self, text: str) -> str:
        if text in self.choices:
            return text
        raise ValueError(f"must be one of {', '.join(sorted(self.choices))}")


class UrlSetting(TextSetting, frozen=True, kw_only=True):
    """An http(s) URL without credentials and query; a slash at the end is dropped."""

    example: str

    def parse(self, text: str) -> str:
        if self.max_length is not None and len(text) > self.max_length:
            raise ValueError(f"must be at most {self.max_length} characters long")
        if _has_unknown_host(text):
            raise ValueError("has a host name that DNS cannot carry; correct it, or write it as xn--…")
        if not is_http_url(text) or _has_more_than_a_place(text):
            raise ValueError(f"must be an address such as {self.example}, without credentials or query")
        return text.rstrip("/")


class OriginSetting(UrlSetting, frozen=True, kw_only=True):
    """The same without a path: what is served there begins at its root."""

    def parse(self, text: str) -> str:
        url = super().parse(text)
        if urlsplit(url).path:
            raise ValueError(f"must be an address such as {self.example}, without a path")
        return url


class DatabaseUrlSetting(TextSetting, frozen=True, kw_only=True):
    """The connection URL of a PostgreSQL database."""

    def parse(self, text: str) -> str:
        return check_database_url(text)


class IntegerSetting(Setting[int], frozen=True, kw_only=True):
    """A whole number within bounds, both included; 0 when there is neither a value nor a default."""

    minimum: int
    maximum: int

    def parse(self, text: str) -> int:
        return parse_whole_number(text, minimum=self.minimum, maximum=self.maximum)

    def parse_default(self) -> int:
        return int(self.default or 0)


class FlagSetting(Setting[bool], frozen=True, kw_only=True):
    """`true` or `false`, in any case."""

    choices: tuple[str, ...] = ("false", "true")

    def parse(self, text: str) -> bool:
        if text.lower() in self.choices:
            return text.lower() == "true"
        raise ValueError("must be true or false")


class TimeZoneSetting(Setting[ZoneInfo], frozen=True, kw_only=True):
    """An IANA time zone."""

    def parse(self, text: str) -> ZoneInfo:
        return parse_time_zone(text)


class ParsedSetting(Setting[T_co], frozen=True, kw_only=True):
    """A value in a form that only one setting has.

    Attributes:
        parser: does what `Setting.parse` promises; without a default, it also turns "" into what applies then.
    """

    parser: Callable[[str], T_co]

    def parse(self, text: str) -> T_co:
        return self.parser(text)


def parse_whole_number(text: str, *, minimum: int, maximum: int) -> int:
    """Read a whole number within bounds, both included.

    Raises:
        ValueError: It is none; the message completes `NAME …`.
    """
    if text.isascii() and text.isdigit() and minimum <= int(text) <= maximum:
        return int(text)
    raise ValueError(f"must be a whole number from {minimum} to {maximum}")


def parse_time_zone(text: str) -> ZoneInfo:
    """Find a zone by its IANA name.

    Raises:
        ValueError: There is none; the message completes `NAME …`.
    """
    try:
        return ZoneInfo(text)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError, a folder's name an OSError
        raise ValueError("must be an IANA time zone, for example America/New_York") from None


def is_http_url(text: str) -> bool:
    """Return whether a text is an http(s) URL with a host, a usable port if any, and no blanks or control codes."""
    try:
        parts = urlsplit(text)
        has_host = is_host_name(parts.hostname or "") and parts.port != 0
    except ValueError:
        return False
    return has_host and parts.scheme in {"http", "https"} and text.isprintable() and " " not in text


def _has_unknown_host(text: str) -> bool:
    try:
        host = urlsplit(text).hostname
    except ValueError:
        return False
    return host is not None and not is_host_name(host)


def is_host_name(host: str) -> bool:
    """Return whether DNS can carry a host name; an address is fine, too.

    Libraries find out in the middle of a request, and disagree about the rarer letters; `xn--…` is what all know.
    """
    try:
        return bool(ip_address(host)) and "%" not in host
    except ValueError:
        labels = host.removesuffix(".").split(".")
        return len(host) <= _HOST_MAX_LENGTH and all(_is_label(label) for label in labels)


def _is_label(label: str) -> bool:
    if label.isascii():
        return bool(_LABEL.fullmatch(label))
    letters = label.replace("-", "")
    is_plain = letters.isalnum() and unicodedata.normalize("NFKC", label) == label.lower() == label
    try:
        return is_plain and not label.startswith("-") and bool(_LABEL.fullmatch(label.encode("idna").decode()))
    except UnicodeError:
        return False


def _has_more_than_a_place(url: str) -> bool:
    # An empty query or fragment is one, too: a path at its end would be a part of it.
    return "@" in urlsplit(url).netloc or "?" in url or "#" in url


def split_list(text: str) -> list[str]:
    """Split at commas; blanks around the entries and empty entries are dropped."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


class SettingsReader:
    """Reads one setting after another and collects what is wrong with them."""

    def __init__(
        self, environ: Mapping[str, str], *, only: Collection[str] | None = None, faults: Iterable[str] = ()
    ) -> None:
        """Read from `environ`, usually `os.environ`.

        Args:
            environ: the variables.
            only: names of the settings that count; others are as if they were not set.
            faults: what has been found in `environ` already.
        """
        self._environ = environ
        self._only = only
        self.faults: list[str] = list(faults)

    def read(self, setting: Setting[T]) -> T:
        """Read a setting; a value that cannot be used is a fault, and the default stands in for it."""
        text = self.read_text(setting)
        if not text:
            if setting.is_required:
                self._add_fault(f"{setting.name} is not set: {setting.cure}")
            return setting.parse_default()
        try:
            return setting.parse(text)
        except ValueError as fault:
            self._add_fault(f"{setting.name} {fault}")
            return setting.parse_default()

    def read_text(self, setting: Setting[object]) -> str:
        """Read a setting as it is written, to hand it on or to judge it elsewhere; empty when it is not set."""
        if self._only is not None and setting.name not in self._only:
            return ""
        text = self._environ.get(setting.name, "")
        return text.strip("\r\n") if setting.keeps_blanks and text.strip() else text.strip()

    def raise_faults(self) -> None:
        """Raise SettingsError if anything was wrong so far."""
        if self.faults:
            raise SettingsError(self.faults)

    def _add_fault(self, fault: str) -> None:
        # A part may read one setting for two purposes.
        if fault not in self.faults:
            self.faults.append(fault)


LOG_FORMATS: Final = ("text", "json")

TIME_ZONE: Final = TimeZoneSetting(
    name="TIME_ZONE",
    meaning="IANA name of the time zone that decides which day is today, such as `America/New_York`",
    default="UTC",
)
ATTIC_TECH_URL: Final = UrlSetting(
    name=env.ATTIC_TECH_URL,
    meaning="Base URL of Attic Tech",
    default="https://www.attic-tech.com",
    example="https://www.attic-tech.com",
)
_SECRET_CURE: Final = "it belongs with the secrets of the sync"  # noqa: S105 - a sentence
ATTIC_TECH_EMAIL: Final = TextSetting(
    name=env.ATTIC_TECH_EMAIL,
    meaning="The login whose estimates are synced",
    cure=_SECRET_CURE,
    is_required=True,
    is_secret=True,
)
ATTIC_TECH_PASSWORD: Final = TextSetting(
    name=env.ATTIC_TECH_PASSWORD,
    meaning="Its password",
    cure=_SECRET_CURE,
    is_required=True,
    is_secret=True,
    keeps_blanks=True,
)
DATABASE_URL: Final = DatabaseUrlSetting(
    name=env.DATABASE_URL,
    meaning="`postgresql://user:password@host:5432/database`, with `?sslmode=verify-full` to check the certificate; in "
    "a password, `@` is written `%40`, `/` `%2F` and `%` `%25`",
    cure=_SECRET_CURE,
    is_required=True,
    is_secret=True,
)
DATABASE_PARAMETERS: Final = ParsedSetting[str](
    name=env.DATABASE_PARAMETERS,
    meaning="Parameters that are added to the URL of the database, as after its `?`: "
    "`sslmode=verify-full&sslrootcert=system`. They take the place of its own of the same names",
    parser=check_parameters,
)
DATABASE_SCHEMA: Final = TextSetting(
    name=env.DATABASE_SCHEMA,
    meaning="The schema that gets the tables `estimate`, `branch`, `sales_person`, …",
    default="botzilla",
    pattern=r"(?!pg_)[A-Za-z_][A-Za-z0-9_$]{0,62}",
    rule="must be letters, digits and _, at most 63, and start with a letter, not with pg_",
)
DATABASE_WAIT_SECONDS: Final = IntegerSetting(
    name=env.DATABASE_WAIT_SECONDS,
    meaning="How long a sync waits for a database that is unavailable when it starts",
    default="45",
    unit="seconds",
    minimum=0,
    maximum=3600,
)
SYNC_MAX_SKIPPED_PERCENT: Final = IntegerSetting(
    name=env.SYNC_MAX_SKIPPED_PERCENT,
    meaning="Share of broken estimates that a sync skips and names; with more, it stores nothing and fails",
    default="1",
    unit="percent",
    minimum=0,
    maximum=100,
)
SYNC_MAX_UNSHOWN_PERCENT: Final = IntegerSetting(
    name=env.SYNC_MAX_UNSHOWN_PERCENT,
    meaning="Share of estimates of which Attic Tech may show just an id for branch, person, customer or property, or "
    "leave out a field; what is stored of it is kept. With more, a sync stores nothing and fails",
    default="20",
    unit="percent",
    minimum=0,
    maximum=100,
)
SYNC_MIN_ESTIMATES: Final = IntegerSetting(
    name=env.SYNC_MIN_ESTIMATES,
    meaning="Estimates that the default days hold at least; a sync of these that finds fewer stores nothing and fails, "
    "because Attic Tech shows its account too little. 0: as few as there are",
    default="0",
    minimum=0,
    maximum=1_000_000,
)
MARK: Final = "mark"
SYNC_DELETIONS: Final = ChoiceSetting(
    name=env.SYNC_DELETIONS,
    meaning="`mark`: a sync asks once more for stored estimates of its days that Attic Tech does not list, and sets "
    "`deleted_at` of those that are gone; `off`: they stay as they are",
    default="off",
    choices=("off", MARK),
)
SYNC_MAX_DELETED_PERCENT: Final = IntegerSetting(
    name=env.SYNC_MAX_DELETED_PERCENT,
    meaning="Share of the stored estimates of its days that a sync may mark as deleted; with more, it marks none and "
    "says so. One may always be",
    default="5",
    unit="percent",
    minimum=0,
    maximum=100,
)
SYNC_LOGIN_RETRY: Final = TextSetting(
    name=env.SYNC_LOGIN_RETRY,
    meaning="Any text, such as today's date. Once Attic Tech has refused a login, no sync tries the same credentials "
    "again until they, or this text, have changed: after a few wrong passwords it locks the account, for people, too",
    max_length=64,
)
SYNC_MAX_PAGE_MEGABYTES: Final = IntegerSetting(
    name=env.SYNC_MAX_PAGE_MEGABYTES,
    meaning="Size of a page of Attic Tech, unpacked, above which a sync refuses it; several are in memory at once",
    default="100",
    unit="megabytes",
    minimum=1,
    maximum=2000,
)
SYNC_SELECT_FIELDS: Final = FlagSetting(
    name=env.SYNC_SELECT_FIELDS,
    meaning="Ask Attic Tech for the fields that become columns, not for whole estimates: far fewer bytes. The "
    "first ten are compared with whole ones, but in others a value that it computes from other fields may be stored "
    "wrong, without a word. Try it as docs/operating.md says",
    default="false",
)
SYNC_METADATA: Final = FlagSetting(
    name="SYNC_METADATA",
    meaning="Take `metadata` with a request, and give them back in the 202, the status and the callback, which then "
    "always have this field, null if there are none",
    default="false",
)
PUBLIC_URL: Final = OriginSetting(
    name="PUBLIC_URL",
    meaning="Address at which people open the status page, such as `https://sync.example.com`. Callbacks and answers "
    "then have `details_url`, the page of the sync there, and alerts that of the list",
    example="https://sync.example.com",
    # With the path of the longest name, a status can carry it.
    max_length=400,
)
STALE_AFTER_HOURS: Final = IntegerSetting(
    name="STALE_AFTER_HOURS",
    meaning="Time without a sync that has succeeded, after which the status page and `doctor` say so, and an alert is "
    "sent where MAKE_SYNC_ALERT_WEBHOOK_URL is set; 0: never",
    default="26",
    unit="hours",
    minimum=0,
    maximum=8760,
)
CALLBACK_URL: Final = TextSetting(
    name="MAKE_SYNC_CALLBACK_WEBHOOK_URL",
    meaning="Make.com's custom webhook, which gets the outcome of each sync; without it, no callbacks are sent",
    is_secret=True,
)
ALERT_URL: Final = TextSetting(
    name="MAKE_SYNC_ALERT_WEBHOOK_URL",
    meaning="Another custom webhook, which gets an alert, once, when no sync has succeeded for STALE_AFTER_HOURS; "
    "without it, none is sent",
    is_secret=True,
)
CALLBACK_TARGETS: Final = ParsedSetting[Mapping[str, str]](
    name="CALLBACK_TARGETS",
    meaning="Further webhooks by name, which a request may name as `callback`: `billing=https://…`, separated by "
    "commas; in the place of a URL, the absolute path of a file with it, which is read again when it changes",
    is_secret=True,
    parser=split_targets,
)
CALLBACK_ALLOW_HTTP: Final = FlagSetting(
    name="CALLBACK_ALLOW_HTTP", meaning="Accept a webhook without TLS", default="false"
)
CALLBACK_ALLOW_PRIVATE_TARGETS: Final = FlagSetting(
    name="CALLBACK_ALLOW_PRIVATE_TARGETS",
    meaning="Accept a webhook on this machine or in a private network",
    default="false",
)


def read_database_url(reader: SettingsReader, setting: Setting[str] = DATABASE_URL) -> str:
    """Read where the database is, with the parameters that are set beside its URL; faults are left in the reader."""
    url, parameters = reader.read(setting), reader.read(DATABASE_PARAMETERS)
    try:
        return add_parameters(url, parameters) if url else ""
    except ValueError as error:
        reader.faults.append(f"{setting.name} with {DATABASE_PARAMETERS.name} {error}")
        return ""

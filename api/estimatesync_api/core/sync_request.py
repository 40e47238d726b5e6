"""What a caller asks for: a request for a sync becomes one value, or every fault at once. Pure.

A body is JSON whatever its Content-Type says, because command line tools and Make.com often send none or a wrong one.
A field that is null or empty counts as absent: that is what Make.com sends for an item that is not mapped. Any other
unknown field is refused: a misspelt date that is silently ignored would sync the wrong days unnoticed.

A repeated request meets the first one without any memory of the API's own: its Idempotency-Key becomes the sync's name.
This works across replicas, because the store lets a name be taken once. The key's space is shared by all API keys, so
that replacing an API key between two tries changes nothing. A key is remembered for as long as the sync exists, which
is `ttlSecondsAfterFinished` after its end, by default a week, unless someone deletes it sooner.
"""

import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.names import ANNOTATION_REQUEST_DIGEST, ANNOTATION_STARTED_BY, ANNOTATION_TRACEPARENT
from estimatesync_contract.redelivery import (
    ALERT,
    find_chosen_targets,
    is_alert_chosen,
    is_redelivery_requested,
    name_targets,
)
from estimatesync_contract.settings import SYNC_METADATA
from estimatesync_contract.spec import (
    DEFAULT_TARGET,
    MAX_CALLBACK_TARGETS,
    CallbackSpec,
    DateRange,
    EstimateSyncSpec,
    MetadataFields,
    Mode,
    compute_default_range,
    parse_metadata,
)
from estimatesync_contract.status import CallbackState
from estimatesync_contract.timestamps import format_timestamp
from estimatesync_tracing.context import TraceContext, format_traceparent

from estimatesync_api.core.listing import FINAL_PHASES, PAGE_LIMIT_MAX, SyncQuery, Work, parse_sync_query, sort_metadata
from estimatesync_api.core.problems import ApiError, Problem
from estimatesync_api.core.representation import MAX_DAYS, RedeliveryFilterBody, RequestBody

IDEMPOTENCY_KEY_MAX_LENGTH: Final = 255

_START_NAMES: Final = ("startDate", "start_date")
_END_NAMES: Final = ("endDate", "end_date")
_DAYS: Final = "days"
_KNOWN_NAMES: Final = tuple(field.encode_name for field in msgspec.structs.fields(RequestBody))
_MODE: Final = "mode"
_CALLBACK: Final = "callback"
_METADATA: Final = "metadata"
_FILTER_NAMES: Final = RedeliveryFilterBody.__struct_fields__
_MODES: Final = {mode.lower(): mode for mode in Mode}
_SHOWN_LENGTH: Final = 40
_BACKGROUND: Final = "background"
_FOREGROUND_VALUE: Final = "false"
_BACKGROUND_VALUES: Final = frozenset({"", "true", "1", "yes", "on"})
_STAYS_IN_BACKGROUND: Final = "the sync runs in the background, as only background=false waits for its end"
_MOST_WARNINGS: Final = 5
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_COUNT: Final = re.compile(r"[0-9]{1,6}")
FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2999, 12, 31)
_GZIP: Final = frozenset({"gzip", "x-gzip"})
_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16
"""zlib's way of saying: with gzip's head and checksum."""
_NOT_GZIP: Final = "The body is not whole gzip, though Content-Encoding says so."
_PRINTABLE: Final = re.compile(r"[ -~]+")
_LARGEST_INTEGER: Final = 2**53 - 1
"""Up to here all readers of JSON agree on a whole number (RFC 8259 section 6)."""


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment has switched on for requests."""

    targets: tuple[str, ...] = ()
    """Names of callback targets."""
    has_metadata: bool = False
    """Metadata are taken, and given back."""


NO_FEATURES: Final = Features()


class SyncRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller wants, with defaults filled in."""

    date_range: DateRange
    """The days to sync, defaults filled in."""
    asked_start: date | None = None
    asked_end: date | None = None
    asked_days: int | None = None
    """What the caller really said: a retry of a request without dates is the same request on the next day, too."""
    is_background: bool = True
    warnings: tuple[str, ...] = ()
    """What of the query was not understood, and what is done instead."""
    idempotency_key: str | None = None
    mode: Mode = Mode.WHOLE
    targets: tuple[str, ...] = ()
    """Where the outcome goes, by name; the default webhook when empty."""
    metadata: MetadataFields | None = None
    """What the callback says besides."""
    caller: str = ""
    """Who asks: the name of an API key, or of a schedule."""
    absences: tuple[str, ...] = ()
    """Faults of a request with a key that are the deployment's: what it names is not there, or no longer."""

    @property
    def work(self) -> Work:
        """What is to be done."""
        return Work(
            days=self.date_range, mode=self.mode, targets=frozenset(self.targets), metadata=sort_metadata(self.metadata)
        )


def unpack_body(body: bytes, encoding: str, *, most: int) -> bytes:
    """Unpack a body that was sent with a Content-Encoding; `most` bounds the result, in bytes.

    Raises:
        ApiError: Another encoding than gzip, more than `most`, or not what the header says.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"} or (name in _GZIP and not body):
        return body
    if name not in _GZIP:
        raise ApiError(Problem.ENCODING_UNSUPPORTED)
    unpacked = b""
    try:
        # Several packed parts, one behind the other, are one body (RFC 1952 section 2.2).
        while body:
            unpacking = zlib.decompressobj(wbits=_GZIP_WINDOW)
            unpacked += unpacking.decompress(body, most + 1 - len(unpacked))
            if len(unpacked) > most:
                raise ApiError(Problem.BODY_TOO_LARGE)
            if not unpacking.eof:
                raise ApiError(Problem.INVALID_REQUEST, _NOT_GZIP)
            body = unpacking.unused_data
    except zlib.error as error:
        raise ApiError(Problem.INVALID_REQUEST, _NOT_GZIP) from error
    return unpacked


def parse_sync_request(
    *,
    query: Mapping[str, str | list[str]],
    body: bytes,
    idempotency_key: str | None,
    today: date,
    caller: str = "",
    features: Features = NO_FEATURES,
) -> SyncRequest:
    """Read a request.

    Args:
        query: The parameters; the sync runs in the background unless `background` is exactly `false`. What is not
            understood becomes a warning.
        body: JSON object with startDate and endDate (or start_date, end_date), days, mode, callback and metadata, each
            optional; a blank body has none.
        idempotency_key: The header's value, bare or quoted.
        today: The current day in the configured time zone. An absent end is today; an absent start is 45 days
            before the end.
        caller: Who asks.
        features: What is switched on. What is not is a fault; with a key it is left to `absences`, because the sync
            may be stored already.

    Raises:
        ApiError: Not JSON, or not valid; every fault is named.
    """
    fields = _parse_body(body)
    faults = [f"{name}: put it into the JSON body, not into the query" for name in _find_misplaced(query)]
    faults += [
        f"{name[:_SHOWN_LENGTH]}: unknown field; known are startDate, endDate, days, mode, callback and metadata"
        for name in fields
        if name not in _KNOWN_NAMES
    ]
    start = _parse_day(fields, _START_NAMES, faults)
    end = _parse_day(fields, _END_NAMES, faults)
    mode = _parse_mode(fields, faults)
    targets = _parse_targets(fields, faults)
    metadata = _parse_metadata(fields, faults)
    days = _parse_days(fields, start, faults)
    key = _parse_idempotency_key(idempotency_key, faults)
    date_range = _parse_range(start, end, days, today, faults)
    absences = _find_absences(targets, metadata, features)
    if faults or (absences and key is None):
        raise ApiError(Problem.INVALID_REQUEST, *faults, *absences)
    return SyncRequest(
        date_range=date_range,
        asked_start=start,
        asked_end=end,
        asked_days=days,
        is_background=query.get(_BACKGROUND) != _FOREGROUND_VALUE,
        warnings=_find_warnings(query),
        idempotency_key=key,
        mode=mode,
        targets=targets,
        metadata=metadata,
        caller=caller,
        absences=absences,
    )


def _find_misplaced(query: Mapping[str, str | list[str]]) -> list[str]:
    """Find what was meant for the body. What has a common name may be somebody else's, and was always ignored."""
    names = [name for name in _KNOWN_NAMES if name not in {_CALLBACK, _METADATA} and name in query]
    return [name for name in names if name != _MODE or str(query[name]) in _MODES]


def _find_warnings(query: Mapping[str, str | list[str]]) -> tuple[str, ...]:
    """Name what was not understood; it is no fault, because the first backend ignored it.

    Only names are repeated, and only those that have a value: what stands alone may be a secret.
    """
    background = query.get(_BACKGROUND, "")
    warnings = []
    if isinstance(background, list):
        warnings.append(f"{_BACKGROUND} was sent several times; {_STAYS_IN_BACKGROUND}")
    elif background != _FOREGROUND_VALUE and background.strip().lower() not in _BACKGROUND_VALUES:
        warnings.append(f"{_BACKGROUND}={_show_value(background)} was not understood; {_STAYS_IN_BACKGROUND}")
    misplaced = _find_misplaced(query)
    unknown = [name for name in query if name != _BACKGROUND and name not in misplaced]
    for name in unknown[:_MOST_WARNINGS]:
        shown = _show_value(name) if query[name] else "a parameter without a value"
        warnings.append(f"{shown} was not understood and has no effect; the only known parameter is {_BACKGROUND}")
    return tuple(warnings)


def _show_value(text: str) -> str:
    return "".join(each if " " <= each <= "~" else "?" for each in text[:_SHOWN_LENGTH])


def _parse_body(body: bytes) -> dict[str, Any]:
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        return {}
    try:
        fields = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise ApiError(
            Problem.INVALID_JSON,
            'The body is not valid JSON. Send an object like {"startDate":"2025-09-01","endDate":"2025-10-16"}, '
            "or no body at all.",
        ) from error
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise ApiError(Problem.INVALID_REQUEST, "The body must be a JSON object.")
    return fields


def _parse_day(fields: dict[str, Any], names: tuple[str, str], faults: list[str]) -> date | None:
    given = {name: fields[name] for name in names if not _is_blank(fields.get(name))}
    if not given:
        return None
    name, value = next(iter(given.items()))
    day = _parse_date(value)
    if any(_parse_date(other) != day for other in given.values()):
        faults.append(f"{names[0]} and {names[1]} are the same field and differ; send one of them")
    if day is None:
        faults.append(f"{name}: {_show(value)} is not a date like 2025-09-01")
    elif not FIRST_DAY <= day <= LAST_DAY:
        faults.append(f"{name}: {day} is not between {FIRST_DAY} and {LAST_DAY}")
    return day


def _parse_mode(fields: dict[str, Any], faults: list[str]) -> Mode:
    value = fields.get(_MODE)
    if _is_blank(value):
        return Mode.WHOLE
    mode = _MODES.get(value.strip()) if isinstance(value, str) else None
    if mode is None:
        faults.append(f'{_MODE}: {_show(value)} is neither "whole" nor "changes"')
    return mode or Mode.WHOLE


def _parse_targets(fields: dict[str, Any], faults: list[str]) -> tuple[str, ...]:
    """The default webhook alone is what a request without targets means as well."""
    targets = parse_target_names(fields, faults)
    if len(targets) > MAX_CALLBACK_TARGETS:
        faults.append(f"{_CALLBACK}: send at most {MAX_CALLBACK_TARGETS} names")
    return () if targets == (DEFAULT_TARGET,) else targets


def _parse_metadata(fields: dict[str, Any], faults: list[str]) -> MetadataFields | None:
    """Nothing of them is repeated: they are the caller's own, and errors are logged."""
    value = fields.get(_METADATA)
    if _is_blank(value) or value == {}:
        return None
    try:
        metadata = parse_metadata(msgspec.json.encode(value).decode())
    except ValueError as fault:
        faults.append(str(fault))
        return None
    if any(isinstance(each, int) and abs(each) > _LARGEST_INTEGER for each in metadata.values()):
        faults.append(f"{_METADATA}: send whole numbers beyond ±{_LARGEST_INTEGER} as text; Make.com would round them")
    return metadata


def _find_absences(targets: tuple[str, ...], metadata: MetadataFields | None, features: Features) -> tuple[str, ...]:
    """Name what the request relies on and the deployment does not have."""
    absences = []
    exist = (DEFAULT_TARGET, *features.targets)
    if unknown := [name for name in targets if name not in exist]:
        absences.append(f"{_CALLBACK}: {_show(unknown[0])} is not one of the targets here: {', '.join(exist)}")
    if metadata and not features.has_metadata:
        absences.append(f"{_METADATA}: not taken here; set {SYNC_METADATA.name}, or leave the field out")
    return tuple(absences)


def parse_target_names(fields: Mapping[str, Any], faults: list[str]) -> tuple[str, ...]:
    """Read `callback`, one name or a list of names, each once; what else it is becomes a fault."""
    value = fields.get(_CALLBACK)
    given = value if isinstance(value, list) else [] if _is_blank(value) else [value]
    names = [name.strip() for name in given if isinstance(name, str)]
    if len(names) < len(given):
        faults.append(f"{_CALLBACK}: send the name of a target, or a list of names")
        return ()
    return tuple(dict.fromkeys(name for name in names if name))


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _parse_date(value: object) -> date | None:
    text = value.strip() if isinstance(value, str) else ""
    try:
        # fromisoformat alone also takes 20250901 and 2025-W36-1.
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


def _parse_days(fields: dict[str, Any], start: date | None, faults: list[str]) -> int | None:
    value = fields.get(_DAYS)
    if _is_blank(value):
        return None
    # Make.com sends as text what comes from a text.
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    days = int(text) if _COUNT.fullmatch(text) else -1
    if not 0 <= days <= MAX_DAYS:
        faults.append(f"{_DAYS}: {_show(value)} is not a whole number from 0 to {MAX_DAYS}")
        return None
    if start is not None:
        faults.append(f"{_DAYS} and {_START_NAMES[0]} both say where to begin; send one of them")
    return days


def _parse_range(start: date | None, end: date | None, days: int | None, today: date, faults: list[str]) -> DateRange:
    last = end or today
    if faults:
        return DateRange(start=last, end=last)
    first = start or (compute_default_range(last).start if days is None else last - timedelta(days=days))
    if days is not None and first < FIRST_DAY:
        faults.append(f"{_DAYS}: {days} days before {last} is before {FIRST_DAY}")
    if first > last:
        then = f"endDate {last}" if end else f"today, {last}; send endDate as well"
        faults.append(f"startDate {first} is after {then}")
    return DateRange(start=first, end=last)


def _parse_idempotency_key(value: str | None, faults: list[str]) -> str | None:
    """The header's draft says a quoted string, most people send it bare: both name the same key."""
    if value is None:
        return None
    text = value.strip()
    key = re.sub(r"\\(.)", r"\1", text[1:-1]) if re.fullmatch(r'"(?:[^"\\]|\\.)*"', text) else text
    if not _PRINTABLE.fullmatch(key) or len(key) > IDEMPOTENCY_KEY_MAX_LENGTH:
        faults.append(f"Idempotency-Key: send 1 to {IDEMPOTENCY_KEY_MAX_LENGTH} printable ASCII characters, or no key")
    return key


def _show(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


def compute_request_digest(request: SyncRequest) -> str:
    """Digest what was asked for. How the caller wants to be answered is not part of it, nor are defaults."""
    chosen = [] if request.mode is Mode.WHOLE else [request.mode]
    begin = [] if request.asked_days is None else [request.asked_days]
    goes = [sorted(request.targets)] if request.targets else []
    says = [request.metadata] if request.metadata else []
    parts = [request.asked_start, request.asked_end, *chosen, *begin, *goes, *says]
    asked = msgspec.json.encode(parts, order="deterministic")
    return hashlib.sha256(asked).hexdigest()


def build_sync(request: SyncRequest, *, name: str, origin: TraceContext | None = None) -> EstimateSync:
    """Build the sync of a request, in whose trace it is done, if there is one.

    Its days are fixed now: they must not depend on when the operator looks.
    """
    known = {ANNOTATION_TRACEPARENT: format_traceparent(origin)} if origin else {}
    known |= {ANNOTATION_STARTED_BY: request.caller} if request.caller else {}
    return EstimateSync(
        metadata=Metadata(name=name, annotations={ANNOTATION_REQUEST_DIGEST: compute_request_digest(request), **known}),
        spec=EstimateSyncSpec(
            date_range=request.date_range,
            mode=None if request.mode is Mode.WHOLE else request.mode,
            callback=CallbackSpec(targets=request.targets),
            metadata=msgspec.json.encode(request.metadata).decode() if request.metadata else None,
        ),
    )


def require_same_request(stored: EstimateSync, request: SyncRequest) -> None:
    """Make sure that the sync under this name was made by the same request.

    Raises:
        ApiError: It was made by another one.
    """
    if stored.metadata.annotations.get(ANNOTATION_REQUEST_DIGEST) == compute_request_digest(request):
        return
    before = _describe(stored.spec.date_range, stored.spec.mode or Mode.WHOLE)
    is_other_mode = request.mode is not (stored.spec.mode or Mode.WHOLE)
    is_same = stored.spec.date_range == request.date_range or is_other_mode
    raise ApiError(
        Problem.KEY_REUSED,
        f"This Idempotency-Key was used for sync {stored.name} ({before}), and this request asks for "
        f"{'something else' if is_same else 'other dates'} ({_describe(request.date_range, request.mode)}); "
        "use a new key for a new sync.",
    )


def _describe(days: DateRange | None, mode: Mode) -> str:
    named = f"{days.start} to {days.end}" if days else "the default days"
    return named if mode is Mode.WHOLE else f"changes of {named}"


def require_redeliverable(sync: EstimateSync) -> None:
    """Make sure that there is a callback to send.

    Raises:
        ApiError: The sync has not ended, or has no callback.
    """
    if not sync.is_finished:
        raise ApiError(Problem.NOT_FINISHED)
    is_sent = any(each.state is not CallbackState.DISABLED for each in sync.status.deliveries)
    if not (sync.spec.callback.enabled and is_sent) and not sync.status.is_alert_given_up:
        raise ApiError(Problem.NO_CALLBACK)


def parse_redelivery_filter(body: bytes, *, time_zone: ZoneInfo) -> SyncQuery:
    """Read whose callbacks to send again, of those that were given up: `since`, `until`, and `cursor` to go on.

    Raises:
        ApiError: The body is not valid.
    """
    fields = _parse_body(body)
    faults = [
        f"{name[:_SHOWN_LENGTH]}: unknown field; known are {', '.join(_FILTER_NAMES)}"
        for name in fields
        if name not in _FILTER_NAMES
    ]
    faults += [f"{name}: send a text" for name in _FILTER_NAMES if not isinstance(fields.get(name), str | None)]
    if faults:
        raise ApiError(Problem.INVALID_REQUEST, *faults)
    known = {name: value for name, value in fields.items() if not _is_blank(value)}
    query = parse_sync_query(known, time_zone=time_zone)
    return msgspec.structs.replace(query, limit=PAGE_LIMIT_MAX, phases=FINAL_PHASES)


def list_failed_targets(sync: EstimateSync) -> tuple[str, ...]:
    """Name the targets whose callback was given up, and the alert; blank for one without a name."""
    failed = tuple(each.target or "" for each in sync.status.deliveries if each.state is CallbackState.FAILED)
    return (*failed, ALERT) if sync.status.is_alert_given_up else failed


def build_redelivery_token(moment: datetime, token: str) -> str:
    """Name a request for another delivery."""
    return f"{format_timestamp(moment)}-{token}"


def build_redelivery(sync: EstimateSync, token: str, targets: Sequence[str]) -> str:
    """Build a request about these targets' callbacks, about all if there are none.

    It takes the place of one that is not served yet, and asks for what that one asked for, too.
    """
    return name_targets(token, dict.fromkeys((*_list_waiting_targets(sync), *targets)) if targets else ())


def build_failed_redelivery(sync: EstimateSync, token: str) -> str | None:
    """Build a request about the callbacks that were given up; None if there are none that nobody has asked for."""
    failed = list_failed_targets(sync)
    return build_redelivery(sync, token, failed) if set(failed).difference(_list_waiting_targets(sync)) else None


def _list_waiting_targets(sync: EstimateSync) -> tuple[str, ...]:
    """Name what is requested again, and not begun again yet; blank for a callback whose target has no name."""
    if not is_redelivery_requested(sync):
        return ()
    chosen = find_chosen_targets(sync)
    waiting = tuple(each.target or "" for each in sync.status.deliveries if each.target in chosen)
    return (*waiting, ALERT) if is_alert_chosen(sync) else waiting


def parse_redelivery(body: bytes, sync: EstimateSync) -> tuple[str, ...]:
    """Read which callbacks of a finished sync to send again: the names of their targets, empty for all.

    Raises:
        ApiError: There is no such callback, or the body is not valid.
    """
    fields = _parse_body(body)
    faults = [f"{name[:_SHOWN_LENGTH]}: unknown field; known is {_CALLBACK}" for name in fields if name != _CALLBACK]
    targets = parse_target_names(fields, faults)
    exist = tuple(each.target or DEFAULT_TARGET for each in sync.status.deliveries)
    if unknown := [name for name in targets if name not in exist]:
        faults.append(f"{_CALLBACK}: {_show(unknown[0])} is not a target of this sync: {', '.join(exist)}")
    if faults:
        raise ApiError(Problem.INVALID_REQUEST, *faults)
    return targets

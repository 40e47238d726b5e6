"""Attic Tech, played by the sample in memory, with a clock of its own, changed between any two answers.

It remembers what was in the range before each answer, which is what a sync's claims are judged by.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from estimatesync_job.core.queries import OVERLAP
from sample_attic_tech import Request, RunningSample, SampleConfig
from sample_attic_tech.records import format_timestamp
from sample_attic_tech.sample import RecordStore

from estimatesync_simulator.sync_program.history import Change, History, Kind

START: Final = datetime(2025, 9, 1, tzinfo=UTC)
END: Final = datetime(2025, 10, 16, 23, 59, 59, 999_000, tzinfo=UTC)
EMAIL: Final = "sync@attic-tech.example"
PASSWORD: Final = "made-up-password"  # noqa: S105 - of a source that is played
NEVER_A_NUMBER: Final = "twelve"

_RELATIONS: Final = dict.fromkeys(("branch", "client", "property", "user"))
"""There are none, which is another thing than not to show them."""
_IDS: Final = 400
_IMPORTED_AT_ONCE: Final = 110
"""More than a closing pass asks for in one request."""
_IMPORTED: Final = 10
"""Estimates that it creates between two answers after that."""
_IMPORTED_AT_MOST: Final = 1500
"""Many times what the source holds otherwise; what goes on for ever would take all the time of the simulation."""

_MIDNIGHT: Final = datetime(2025, 10, 16, tzinfo=UTC)
_LONG_AGO: Final = timedelta(days=100)
_WEEKS_AGO: Final = timedelta(days=20)


class Source:
    """The source.

    Attributes:
        seen: before each answer, the clock and the version of each estimate in the range; the first entry is the start.
        requests: answered so far.
        passing: the ids of what may have been in the range for a moment: ever edited, or created shortly after its end.
        gone, broken: the ids of what was deleted, or given an older date; given no price.
    """

    def __init__(self, history: History, *, now: Callable[[], float], tell: Callable[[str], None]) -> None:
        """Fill it; `now` are the simulated seconds, and `tell` takes what happens."""
        self.seen: Final[list[tuple[datetime, Mapping[int, int]]]] = []
        self.passing: Final[set[int]] = set()
        self.gone: Final[set[int]] = set()
        self.broken: Final[set[int]] = set()
        self.requests = 0
        self._changes = history.changes
        self._now: Final = now
        self._tell: Final = tell
        self._rng: Final = Random(history.seed)  # noqa: S311 - a simulation, not a secret
        self._epoch = _MIDNIGHT + timedelta(hours=history.hour)
        self._versions = 0
        self._is_password_changed = False
        self._import_until = 0.0
        self._imported = 0
        lifetime = timedelta(seconds=history.token_seconds)
        self._sample: Final = RunningSample(
            SampleConfig(
                email=EMAIL, password=PASSWORD, token_lifetime=lifetime, clock=self.read_clock, shuffle_ties=True
            )
        )
        for age in history.ages:
            stamp = self.read_clock() - timedelta(days=age)
            self._insert(created_at=self.read_clock() - _LONG_AGO, updated_at=stamp)
        self._note()

    @property
    def store(self) -> RecordStore:
        """The estimates as they are."""
        return self._sample.store

    def read_clock(self) -> datetime:
        """Read its own clock, which may jump."""
        return self._epoch + timedelta(seconds=self._now())

    def move_clock(self, seconds: float) -> None:
        """Let the clock jump, and remember what is true at that moment by the old one."""
        self._note()
        self._epoch += timedelta(seconds=seconds)

    def expire_tokens(self) -> None:
        self._sample.revoke_tokens()

    def change_password(self) -> None:
        """Accept the old one no more; who is logged in stays so."""
        self._is_password_changed = True

    def break_record(self) -> None:
        """Let a person edit an estimate so that it cannot become a row."""
        if ids := self._list_ids():
            self.broken.add(ids[0])
            self._edit(ids[0], late=0.0, true_cost=NEVER_A_NUMBER)

    def begin_import(self, *, until: float) -> None:
        """Create many estimates before each answer until then."""
        self._import_until = until

    def come_to_rest(self) -> None:
        """Let people put right what they have done, and change nothing any more."""
        self._is_password_changed, self._import_until, self._changes = False, 0.0, ()
        for record_id in sorted(self.broken & {record["id"] for record in self.store.read_all()}):
            self._edit(record_id, late=0.0, true_cost=None)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Let happen what is due, then answer as of that moment."""
        self.requests += 1
        for change in self._changes:
            if change.request == self.requests:
                self._happen(change)
        if self._now() < self._import_until and self._imported < _IMPORTED_AT_MOST:
            self._import()
        self._note()
        if request.method == "POST" and self._is_password_changed:
            errors = {"errors": [{"message": "The email or password provided is incorrect."}]}
            return httpx.Response(401, headers=self._build_headers(), json=errors)
        response = self._sample.respond(
            Request(
                method=request.method,
                path=urlsplit(str(request.url)).path,
                query_string=request.url.query.decode(),
                headers=dict(request.headers),
                body=request.content,
                received_at=self.read_clock(),
            )
        )
        headers = {**response.headers, **self._build_headers()}
        return httpx.Response(response.status, headers=headers, content=response.body)

    def list_versions(self) -> dict[int, int]:
        """The version of each estimate in the range now."""
        return {record["id"]: int(record["crew_notes"]) for record in self.store.read_all() if _is_in_range(record)}

    def _build_headers(self) -> dict[str, str]:
        return {"Date": self.read_clock().strftime("%a, %d %b %Y %H:%M:%S GMT")}

    def _import(self) -> None:
        """Create estimates, every second of which keeps the times that it had elsewhere."""
        for _ in range(_IMPORTED if self._imported else _IMPORTED_AT_ONCE):
            self._imported += 1
            stamp = self.read_clock() - (_WEEKS_AGO if self._imported % 2 else timedelta(0))
            self._store(_IDS + self._imported, created_at=stamp, updated_at=stamp)

    def _note(self) -> None:
        self.seen.append((self.read_clock(), self.list_versions()))

    def _list_ids(self) -> list[int]:
        return sorted(record["id"] for record in self.store.read_all() if _is_in_range(record))

    def _happen(self, change: Change) -> None:
        self._tell(f"an estimate {change.kind}")
        if change.kind is Kind.INSERT:
            stamp = self.read_clock() - timedelta(seconds=change.late)
            self._insert(created_at=stamp, updated_at=stamp)
            return
        inside = self._list_ids()
        outside = sorted({record["id"] for record in self.store.read_all()} - set(inside))
        ids = outside if change.kind is Kind.ENTER else inside
        if not ids:
            return
        record_id = ids[change.target % len(ids)]
        if change.kind is Kind.DELETE:
            self.store.delete(record_id)
            self.gone.add(record_id)
        elif change.kind is Kind.BACKDATE:
            self.store.update(record_id, {"updatedAt": format_timestamp(START - timedelta(days=9))})
            self.gone.add(record_id)
        else:
            self._edit(record_id, late=change.late)

    def _edit(self, record_id: int, *, late: float, **fields: object) -> None:
        # However far clocks are apart, the versions of one record are stamped in their order.
        before = datetime.fromisoformat(self.store.read(record_id)["updatedAt"])
        stamp = max(self.read_clock() - timedelta(seconds=late), before)
        self.store.update(record_id, {"updatedAt": format_timestamp(stamp)} | self._build_version() | fields)
        self.passing.add(record_id)

    def _insert(self, *, created_at: datetime, updated_at: datetime) -> None:
        taken = {record["id"] for record in self.store.read_all()} | self.gone
        free = [number for number in range(1, _IDS) if number not in taken]
        self._store(self._rng.choice(free), created_at=created_at, updated_at=updated_at)

    def _store(self, record_id: int, *, created_at: datetime, updated_at: datetime) -> None:
        times = {"createdAt": format_timestamp(created_at), "updatedAt": format_timestamp(updated_at)}
        self.store.insert({"id": record_id} | _RELATIONS | times | self._build_version())
        if created_at <= END + OVERLAP:
            self.passing.add(record_id)

    def _build_version(self) -> dict[str, str]:
        self._versions += 1
        return {"crew_notes": str(self._versions)}


def _is_in_range(record: Mapping[str, Any]) -> bool:
    return START <= datetime.fromisoformat(record["updatedAt"]) <= END

"""The order of things in a sync, with both of its ends made by hand."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.log_lines import parse_progress
from estimatesync_contract.refused_login import Credentials, RefusedLogin
from estimatesync_contract.result import ResultError
from estimatesync_contract.status import Results, UnshownFields
from estimatesync_job.core.closing_pass import PassPolicy, PassResult, is_proof
from estimatesync_job.core.errors import (
    CredentialsRefusedError,
    DatabaseUnavailableError,
    FieldsUnshownError,
    LoginFailedError,
    RecordInvalidError,
    SourceChangingError,
    SourceUnavailableError,
    SyncError,
)
from estimatesync_job.core.page_plan import build_plan
from estimatesync_job.core.pages import CLOSING_PAGE, FetchedPage, PageBody, map_page
from estimatesync_job.core.ports import Level, Staged, StoredRun, Transferred
from estimatesync_job.core.queries import OVERLAP, ChangesQuery, PageQuery
from estimatesync_job.core.rows import Row, Rows
from estimatesync_job.core.unshown import RELATIONS, UnshownCounts
from estimatesync_job.sync import Sync
from estimatesync_job.transfer import open_closing_pass
from msgspec import Raw

NOON = datetime(2025, 10, 16, 12, tzinfo=UTC)
CREDENTIALS = Credentials(url="http://sample.example", email="sync@attic-tech.example", password="made-up", retry="")
WITHOUT_PAUSES = PassPolicy(first_pause=0.0, longest_pause=0.0)
COMMITTED = StoredRun(
    results=Results(total_fetched=9, new_estimates=4, updated_estimates=5, total_processed=9), complete_as_of=NOON
)


def with_relations(number: int, **fields: object) -> bytes:
    return msgspec.json.encode({"id": number} | dict.fromkeys(("branch", "user", "client", "property")) | fields)


@dataclass
class ListLog:
    lines: list[str] = field(default_factory=list)

    def write(self, action: str, message: str, *, level: Level = "info", **fields: str | float) -> None:
        assert action
        assert level
        assert all(name.islower() for name in fields)
        self.lines.append(message)


@dataclass
class ScriptedSource:
    """Two records on each page, or those given; later pages answer first. `totals` is what each page says it is."""

    totals: list[int]
    records: list[bytes] | None = None
    changes: list[list[bytes]] = field(default_factory=list)
    empty_from: int = 99
    login_error: SyncError | None = None
    broken_page: int | None = None
    in_flight: int = 0
    max_in_flight: int = 0
    asked: list[int] = field(default_factory=list)
    queries: list[ChangesQuery] = field(default_factory=list)

    async def login(self) -> datetime:
        await asyncio.sleep(0)
        if self.login_error:
            raise self.login_error
        return NOON

    async def fetch_page(self, query: PageQuery) -> FetchedPage:
        page = query.page
        self.asked.append(page)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            for _ in range(20 - page):
                await asyncio.sleep(0)
        finally:
            self.in_flight -= 1
        if page == self.broken_page:
            raise SourceUnavailableError("gone")
        records = [with_relations(2 * (self.totals[0] - page) + number) for number in (2, 1)]
        records = [] if page >= self.empty_from else records if self.records is None else self.records
        return self._map(records, page, total_pages=self.totals[page - 1])

    async def fetch_changes(self, query: ChangesQuery) -> FetchedPage:
        self.queries.append(query)
        return self._map(self.changes.pop(0) if self.changes else [], CLOSING_PAGE)

    def _map(self, records: list[bytes], page: int, total_pages: int | None = None) -> FetchedPage:
        answer = PageBody(docs=tuple(Raw(record) for record in records), total_pages=total_pages)
        return map_page(
            answer, page=page, limit=3, size_bytes=1024, seconds=0.1, end=NOON + timedelta(days=1), asked_at=NOON,
            answered_at=NOON,
        )  # fmt: skip


@dataclass
class ListStore:
    committed: StoredRun | None = None
    rows: list[Sequence[Row]] = field(default_factory=list)
    merged: int | None = None
    unshown: dict[int, tuple[str, ...]] = field(default_factory=dict)
    is_closed: bool = False
    refused: RefusedLogin | None = None
    failed: list[ResultError] = field(default_factory=list)

    @property
    def encoding(self) -> str:
        return "UTF8"

    @property
    def staged(self) -> int:
        return sum(map(len, self.rows))

    async def fetch_committed_run(self) -> StoredRun | None:
        return self.committed

    async def write_rows(self, rows: Rows) -> None:
        self.unshown |= rows.unshown
        self.rows.append(rows)

    async def count_changes(self, known: int) -> int:
        rows = [row for staged in self.rows for row in staged]
        return len({row.attic_tech_estimate_id for row in rows[known:] if row not in rows[:known]})

    async def fetch_refused_login(self) -> RefusedLogin | None:
        return self.refused

    async def write_refused_login(self, refusal: RefusedLogin) -> None:
        self.refused = refusal

    async def write_failed_run(self, error: ResultError) -> None:
        self.failed.append(error)

    async def finish_staging(self, *, hidden: Sequence[str], broken: Sequence[int]) -> Staged:
        self.rows = [[row for row in rows if row.attic_tech_estimate_id not in broken] for rows in self.rows]
        ids = {row.attic_tech_estimate_id for rows in self.rows for row in rows}
        columns = {column: len(ids) for column in hidden if column in RELATIONS}
        for number in ids & self.unshown.keys():
            columns |= {column: columns.get(column, 0) + 1 for column in self.unshown[number]}
        counts = UnshownCounts(estimates=max(columns.values(), default=0), columns=columns)
        return Staged(estimates=len(ids), unshown=counts)

    async def merge(self, transferred: Transferred) -> StoredRun:
        self.merged = records = transferred.records
        results = Results(
            total_fetched=records,
            new_estimates=records - transferred.skipped,
            skipped_estimates=transferred.skipped,
            total_processed=records - transferred.skipped,
        )
        return StoredRun(
            results=results,
            complete_as_of=transferred.complete_as_of,
            skipped_ids=transferred.skipped_ids,
            unshown=UnshownFields(estimates=transferred.unshown.estimates, fields=transferred.unshown.fields),
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator["ListStore"]:
        try:
            yield self
        finally:
            self.is_closed = True


def run_sync(
    source: ScriptedSource,
    store: ListStore,
    log: ListLog | None = None,
    *,
    concurrency: int = 3,
    max_skipped_percent: int = 1,
    max_unshown_percent: int = 100,
    credentials: Credentials = CREDENTIALS,
    passes: PassPolicy = WITHOUT_PAUSES,
) -> StoredRun:
    sync = Sync(
        open_source=nullcontext(source),
        open_store=store.open(),
        log=log or ListLog(),
        plan=build_plan(page_size=3, ahead=concurrency),
        passes=passes,
        max_skipped_percent=max_skipped_percent,
        max_unshown_percent=max_unshown_percent,
        credentials=credentials,
    )
    asyncio.run(sync.run())
    assert sync.stored is not None
    return sync.stored


@pytest.mark.parametrize("concurrency", [1, 3])
def test_pages_are_fetched_side_by_side_and_few_wait_to_be_stored(concurrency: int) -> None:
    source, store = ScriptedSource(totals=[6] * 6), ListStore()

    run_sync(source, store, concurrency=concurrency)

    assert concurrency <= source.max_in_flight <= 2 * concurrency
    assert ([len(rows) for rows in store.rows], store.merged) == ([2] * 6, 12)


def test_pages_are_logged_in_order_even_if_they_arrive_out_of_order() -> None:
    log = ListLog()

    run_sync(ScriptedSource(totals=[3] * 3), ListStore(), log)

    assert log.lines == [
        "🔍 [SYNC] Starting estimate fetch process",
        "🔍 [SYNC] Page 1/3: 2 estimates",
        "✅ [SYNC] Page 1 complete. Total so far: 2",
        "🔍 [SYNC] Page 2/3: 2 estimates",
        "✅ [SYNC] Page 2 complete. Total so far: 4",
        "🔍 [SYNC] Page 3/3: 2 estimates",
        "🏁 [SYNC] Last page reached (2 < 3)",
        "✅ [SYNC] Page 3 complete. Total so far: 6",
        "🔒 [SYNC] Nothing is missing up to 2025-10-16T12:00:00.000Z, by the clock of Attic Tech",
        "🎉 [SYNC] Fetch complete! Total: 6 estimates",
        "💾 Saving estimates to the database...",
        "✅ Background synchronization finished. New: 6, Updated: 0.",
    ]
    progress = parse_progress(log.lines)
    assert progress is not None
    assert (progress.text, progress.fetched) == ("3/3", 6)


def test_a_listing_that_grows_is_not_followed_but_looked_into_behind_its_last_page() -> None:
    source = ScriptedSource(totals=[2, 3])

    run_sync(source, ListStore(), concurrency=2)

    assert source.asked == [1, 2]
    assert [(gap.below, gap.above) for gap in source.queries[0].gaps] == [(None, 4), (3, None)]


def test_a_listing_that_announces_too_many_pages_ends_with_the_first_empty_one() -> None:
    source = ScriptedSource(totals=[1_000_000] * 50, empty_from=4)

    stored = run_sync(source, ListStore())

    assert source.asked[-1] < 4 + 2 * 3
    assert stored.results.total_fetched == 6


def test_what_a_closing_pass_brings_is_stored_counted_and_logged() -> None:
    log, store = ListLog(), ListStore()

    stored = run_sync(ScriptedSource(totals=[1], changes=[[b'{"id":3}', b'{"id":2}']]), store, log)

    assert (stored.results.total_fetched, stored.complete_as_of) == (3, NOON)
    assert "🔁 [SYNC] Changed or appeared meanwhile: 1 estimates" in log.lines


@pytest.mark.parametrize(
    ("record", "asked_below"),
    [
        pytest.param(b'{"id":%d}', [None, 7], id="numbers-prove-it-at-once"),
        pytest.param(b'{"id":"%d"}', [None, "7", None, "7"], id="texts-only-if-nothing-is-new"),
    ],
)
def test_a_pass_of_several_answers_is_continued_below_the_last_id(
    record: bytes, asked_below: list[int | str | None]
) -> None:
    answers = [[record % 9, record % 8, record % 7], [record % 6]]
    source = ScriptedSource(totals=[1], changes=[*answers, *answers])

    stored = run_sync(source, ListStore())

    assert [query.below for query in source.queries] == asked_below
    assert stored.results.total_fetched == 6


def test_ids_that_are_no_numbers_end_the_sync_with_a_reason_when_its_time_is_over_and_they_still_change() -> None:
    store = ListStore()
    changes = [[b'{"id":"9"}', b'{"id":"8"}', b'{"id":"7"}'], [b'{"id":"6"}']]

    with pytest.raises(SourceChangingError, match=r"not numbers.*1 closing passes.*in a quieter hour"):
        run_sync(ScriptedSource(totals=[1], changes=changes), store, passes=PassPolicy(ends_at=0.0))

    assert store.merged is None


def test_a_pass_that_brings_no_ids_does_not_make_numbers_of_the_texts_on_the_pages() -> None:
    queries = (ChangesQuery(limit=3, since=NOON),) * 2

    async def store() -> PassResult:
        closing_pass = open_closing_pass(ScriptedSource(totals=[1]), queries, cuts=(), is_numbered=False, max_pending=2)
        async with closing_pass as begun:
            return await begun.store(ListStore(), note=lambda _: None)

    result = asyncio.run(store())

    assert (result.responses, is_proof(result, new_or_changed=0)) == (2, False)


def test_a_stamp_ahead_of_the_clock_lets_nothing_rely_on_the_clock() -> None:
    ahead = with_relations(9, updatedAt="2025-10-16T12:05:01Z")
    source = ScriptedSource(totals=[1], changes=[[ahead]])

    run_sync(source, ListStore())

    assert [query.since for query in source.queries] == [NOON - OVERLAP, None]


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([[b'{"id":3}', b'{"id":2}', b'{"id":1}']] * 2, id="the-same-again"),
        pytest.param([[b"{}", b"{}", b"{}"]], id="no-id-to-go-on-from"),
    ],
)
def test_a_listing_that_cannot_be_continued_is_an_error(answers: list[list[bytes]]) -> None:
    with pytest.raises(SyncError):
        run_sync(ScriptedSource(totals=[1], changes=answers), ListStore())


def test_what_is_committed_already_is_reported_without_asking_for_a_page() -> None:
    source, store = (
        ScriptedSource(totals=[1], login_error=LoginFailedError("no matter")),
        ListStore(committed=COMMITTED),
    )

    stored = run_sync(source, store)

    assert stored == COMMITTED
    assert (source.asked, store.merged) == ([], None)


def test_a_failed_login_stores_nothing() -> None:
    source, store = ScriptedSource(totals=[1], login_error=LoginFailedError("no")), ListStore()

    with pytest.raises(LoginFailedError):
        run_sync(source, store)

    assert (source.asked, store.merged, store.is_closed) == ([], None, True)


def test_refused_credentials_are_not_tried_again_until_they_or_a_persons_word_have_changed() -> None:
    store = ListStore()
    with pytest.raises(LoginFailedError):
        run_sync(ScriptedSource(totals=[1], login_error=CredentialsRefusedError("It said no.")), store)

    again = ScriptedSource(totals=[1], login_error=LoginFailedError("not to be tried"))
    with pytest.raises(LoginFailedError, match=r"^It said no\. That was at 20.*SYNC_LOGIN_RETRY") as raised:
        run_sync(again, store)

    assert "made-up" not in str(raised.value) + repr(CREDENTIALS) + str(store.refused)
    for change in ({"password": "corrected"}, {"email": "other"}, {"url": "http://other.example"}, {"retry": "today"}):
        assert run_sync(ScriptedSource(totals=[1]), store, credentials=replace(CREDENTIALS, **change)).results


@pytest.mark.parametrize("error", [LoginFailedError("This user is locked"), LoginFailedError("its own token")])
def test_a_login_that_fails_for_another_cause_than_the_credentials_is_not_remembered(error: SyncError) -> None:
    store = ListStore()

    with pytest.raises(type(error)):
        run_sync(ScriptedSource(totals=[1], login_error=error), store)

    assert store.refused is None


def test_a_page_that_fails_stops_the_others_and_stores_nothing() -> None:
    source, store = ScriptedSource(totals=[9] * 9, broken_page=2), ListStore()

    with pytest.raises(SourceUnavailableError):
        run_sync(source, store)

    assert (source.in_flight, store.merged, store.is_closed) == (0, None, True)


def test_a_broken_record_stores_nothing_and_is_named() -> None:
    source, store = ScriptedSource(totals=[1], records=[b'{"id":1}', b'{"id":"x"}']), ListStore()

    with pytest.raises(RecordInvalidError, match=r"Record 2 on page 1 \(id x\) cannot be stored: id is not an integer"):
        run_sync(source, store)

    assert store.merged is None


def test_broken_records_within_the_share_are_left_out_named_and_counted_once() -> None:
    log = ListLog()
    source = ScriptedSource(
        totals=[1],
        records=[b'{"id":9,"true_cost":"x"}', b'{"id":8}', b'{"id":7,"true_cost":[]}'],
        changes=[[b'{"id":9,"true_cost":"x"}', b'{"id":7}'], [], []],
    )

    stored = run_sync(source, ListStore(), log, max_skipped_percent=70)

    assert (stored.results.skipped_estimates, stored.skipped_ids) == (1, ("9",))
    assert "⚠️ [SYNC] Estimate 9 is skipped: true_cost is not a number (record 1 on page 1)" in log.lines
    assert "⚠️ [SYNC] Skipped: 1 of 3 estimates, to be corrected in Attic Tech: 9" in log.lines


def test_broken_records_beyond_the_share_are_named_together() -> None:
    records = [b'{"id":%d,"true_cost":"x"}' % number for number in range(30, 0, -1)]

    with pytest.raises(RecordInvalidError, match=r"\(id 30\) cannot be .* 29 more are broken: 29, .*, 21, …\."):
        run_sync(ScriptedSource(totals=[1], records=records), ListStore(), max_skipped_percent=99)


def test_an_estimate_whose_newest_version_is_broken_is_skipped_and_counted_once() -> None:
    source = ScriptedSource(totals=[1], changes=[[with_relations(2, true_cost="x")], []])
    store = ListStore()

    stored = run_sync(source, store, max_skipped_percent=50)

    counts = stored.results
    assert (counts.total_fetched, counts.total_processed, counts.skipped_estimates) == (2, 1, 1)
    assert [row.attic_tech_estimate_id for rows in store.rows for row in rows] == [1]


@pytest.mark.parametrize(
    ("records", "said"),
    [
        pytest.param(
            [with_relations(number, branch=7) for number in range(12, 0, -1)],
            "Attic Tech does not show branch of 12 of 12 estimates",
            id="only-ids",
        ),
        pytest.param(
            [with_relations(number, user=7 if number > 9 else None) for number in range(12, 0, -1)],
            "Attic Tech does not show user of 3 of 12 estimates",
            id="more-than-the-share",
        ),
        pytest.param(
            [b'{"id":%d,"branch":null,"user":null}' % number for number in range(12, 0, -1)],
            "Attic Tech does not show client, property of 12 of 12 estimates",
            id="absent-from-every-record",
        ),
    ],
)
def test_too_much_that_is_not_shown_stores_nothing_and_names_the_fields_and_the_cure(
    records: list[bytes], said: str
) -> None:
    store = ListStore()

    with pytest.raises(FieldsUnshownError, match=said) as caught:
        run_sync(ScriptedSource(totals=[1], records=records), store, max_unshown_percent=20)

    assert "SYNC_MAX_UNSHOWN_PERCENT" in str(caught.value)
    assert store.merged is None


@pytest.mark.parametrize(
    ("records", "line"),
    [
        pytest.param(
            [with_relations(number, user=7 if number > 10 else None) for number in range(12, 0, -1)],
            "⚠️ [SYNC] Attic Tech shows only an id of user (first of estimate 12); what is stored is kept",
            id="within-the-share",
        ),
        pytest.param(
            [b'{"id":1}'],
            "⚠️ [SYNC] Not shown by Attic Tech, so kept as it is stored: client, property, branch, user"
            " (1 of 1 estimates)",
            id="too-few-to-judge",
        ),
    ],
)
def test_little_that_is_not_shown_is_kept_as_it_is_and_logged(records: list[bytes], line: str) -> None:
    log = ListLog()

    stored = run_sync(ScriptedSource(totals=[1], records=records), ListStore(), log, max_unshown_percent=20)

    assert [each for each in log.lines if "shown by" in each or "only an id" in each] == [line]
    assert stored.unshown
    assert stored.unshown.estimates > 0


def test_a_failure_is_recorded_with_its_cause() -> None:
    store = ListStore()

    with pytest.raises(SourceUnavailableError):
        run_sync(ScriptedSource(totals=[3] * 3, broken_page=2), store)

    assert [(error.reason, error.message) for error in store.failed] == [(Reason.SOURCE_UNAVAILABLE, "gone")]


def test_a_record_that_cannot_be_written_hides_no_cause() -> None:
    class FullStore(ListStore):
        async def write_failed_run(self, error: ResultError) -> None:
            raise RuntimeError(error.message)

    with pytest.raises(SourceUnavailableError, match="gone"):
        run_sync(ScriptedSource(totals=[3] * 3, broken_page=2), FullStore())


def test_a_database_that_is_not_available_is_not_written_to_once_more() -> None:
    class GoneStore(ListStore):
        async def count_changes(self, known: int) -> int:
            raise DatabaseUnavailableError(f"No space left on device after {known} rows")

    store = GoneStore()
    with pytest.raises(DatabaseUnavailableError):
        run_sync(ScriptedSource(totals=[1]), store)

    assert store.failed == []

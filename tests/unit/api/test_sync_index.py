"""The index that answers the list: its order, its filters, and news that arrive late."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from estimatesync_api.core.listing import Place, SyncQuery, Work
from estimatesync_api.core.sync_index import SyncIndex
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.spec import DateRange, EstimateSyncSpec, Mode
from estimatesync_contract.status import Condition, ConditionStatus, ConditionType, EstimateSyncStatus, Phase
from hypothesis import given
from hypothesis import strategies as st

NOON = datetime(2025, 10, 16, 12, tzinfo=UTC)
PHASES = (None, Phase.RUNNING, Phase.FAILED)


def build_sync(name: str, *, second: int = 0, version: int = 1, phase: Phase | None = None) -> EstimateSync:
    metadata = Metadata(
        name=name, uid=f"uid-{name}", resource_version=str(version), creation_timestamp=NOON + timedelta(seconds=second)
    )
    return EstimateSync(metadata=metadata, status=EstimateSyncStatus(phase=phase))


def list_names(index: SyncIndex, query: SyncQuery | None = None) -> list[str]:
    return [sync.name for sync in index.select(query or SyncQuery()).syncs]


@pytest.fixture
def index() -> SyncIndex:
    filled = SyncIndex()
    for name, second, phase in (("b", 1, None), ("a", 1, Phase.RUNNING), ("z", 0, Phase.FAILED), ("c", 2, None)):
        filled.put(build_sync(name, second=second, phase=phase))
    return filled


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param(SyncQuery(), ["c", "b", "a", "z"], id="newest first, then by name"),
        pytest.param(SyncQuery(phases=frozenset({Phase.QUEUED})), ["c", "b"], id="queued, even if not reconciled yet"),
        pytest.param(SyncQuery(since=NOON + timedelta(seconds=1)), ["c", "b", "a"], id="since is included"),
        pytest.param(SyncQuery(until=NOON + timedelta(seconds=1)), ["z"], id="until is not"),
        pytest.param(SyncQuery(after=Place(created_at=NOON + timedelta(seconds=1), name="b")), ["a", "z"], id="behind"),
        pytest.param(SyncQuery(after=Place(created_at=NOON, name="z")), [], id="behind the last"),
    ],
)
def test_syncs_are_listed_newest_first(index: SyncIndex, query: SyncQuery, names: list[str]) -> None:
    assert list_names(index, query) == names


def test_the_syncs_of_each_phase_are_counted(index: SyncIndex) -> None:
    index.put(build_sync("a", second=1, version=7, phase=Phase.FAILED))

    assert index.count_phases() == {Phase.QUEUED: 2, Phase.FAILED: 2}


def test_a_sync_is_listed_as_it_was_put_in(index: SyncIndex) -> None:
    (sync,) = index.select(SyncQuery(phases=frozenset({Phase.RUNNING}))).syncs

    assert (sync.uid, sync.status.phase, sync.metadata.creation_timestamp) == (
        "uid-a",
        Phase.RUNNING,
        NOON + timedelta(seconds=1),
    )


def test_older_news_change_nothing(index: SyncIndex) -> None:
    index.put(build_sync("a", second=1, version=7, phase=Phase.SUCCEEDED))
    index.put(build_sync("a", second=1, version=6, phase=Phase.RUNNING))

    found = index.get("a")
    assert found is not None
    assert found.status.phase is Phase.SUCCEEDED


def test_a_sync_that_is_gone_does_not_come_back_with_a_late_answer(index: SyncIndex) -> None:
    index.remove("a", version=9)
    index.put(build_sync("a", second=1, version=8))
    gone = list_names(index)
    index.put(build_sync("a", second=5, version=10))

    assert gone == ["c", "b", "z"]
    assert list_names(index) == ["a", "c", "b", "z"]


def test_what_is_kept_of_a_sync_is_small_and_whole(index: SyncIndex) -> None:
    sync = build_sync("big")
    spec = EstimateSyncSpec(cancel=True)
    status = EstimateSyncStatus(phase=Phase.FAILED, reason="LoginFailed")
    condition = Condition(
        type=ConditionType.FAILED,
        status=ConditionStatus.TRUE,
        observed_generation=1,
        last_transition_time=NOON,
        reason="LoginFailed",
        message="",
    )
    large = msgspec.structs.replace(status, log=("a line",) * 200, conditions=(condition,))
    index.put(msgspec.structs.replace(sync, spec=spec, status=large))

    kept = index.get("big")

    assert kept is not None
    assert (kept.spec, kept.status) == (spec, status)


def test_a_sync_without_a_creation_time_or_a_version_is_the_oldest(index: SyncIndex) -> None:
    index.put(EstimateSync(metadata=Metadata(name="odd", resource_version="one")))
    index.put(EstimateSync(metadata=Metadata(name="odd", resource_version="")))

    assert list_names(index) == ["c", "b", "a", "z", "odd"]


def test_what_is_not_there_or_final_has_ended(index: SyncIndex) -> None:
    assert {name: index.has_ended(name) for name in ("a", "c", "z", "nowhere")} == {
        "a": False,
        "c": False,
        "z": True,
        "nowhere": True,
    }


def test_the_last_256_deletions_are_remembered() -> None:
    index = SyncIndex()
    for number in range(257):
        index.remove(f"s{number}", version=5)

    for name in ("s0", "s1", "s256"):
        index.put(build_sync(name, version=4))

    assert list_names(index) == ["s0"]


def test_the_same_news_twice_change_nothing(index: SyncIndex) -> None:
    index.put(build_sync("a", second=1, version=1, phase=Phase.SUCCEEDED))

    found = index.get("a")
    assert found is not None
    assert (found.status.phase, list_names(index)) == (Phase.SUCCEEDED, ["c", "b", "a", "z"])


def test_a_listing_removes_what_it_did_not_hold_but_not_what_is_newer(index: SyncIndex) -> None:
    index.put(build_sync("new", second=3, version=12))

    index.keep_only({"a"}, version=11)

    assert list_names(index) == ["new", "a"]


@given(
    seconds=st.lists(st.integers(0, 5), max_size=30),
    limit=st.integers(1, 7),
    phases=st.sampled_from([frozenset(Phase), frozenset({Phase.RUNNING}), frozenset({Phase.QUEUED, Phase.FAILED})]),
)
def test_pages_put_together_are_the_whole_list(seconds: list[int], limit: int, phases: frozenset[Phase]) -> None:
    index = SyncIndex()
    for number, second in enumerate(seconds):
        index.put(build_sync(f"s{number:02}", second=second, phase=PHASES[number % 3]))
    whole = list_names(index, SyncQuery(limit=100, phases=phases))

    names: list[str] = []
    place: Place | None = None
    while True:
        page = index.select(SyncQuery(limit=limit, after=place, phases=phases))
        names += [sync.name for sync in page.syncs]
        place = page.end
        if place is None:
            break

    assert names == whole
    kept = [(second, f"s{n:02}") for n, second in enumerate(seconds) if (PHASES[n % 3] or Phase.QUEUED) in phases]
    assert names == [name for _, name in sorted(kept, reverse=True)]


def test_the_newest_sync_of_the_same_days_that_is_at_work_is_found_until_it_has_ended() -> None:
    days = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
    other = DateRange(start=date(2025, 9, 2), end=date(2025, 10, 16))
    syncs = [
        msgspec.structs.replace(build_sync(name, second=second), spec=EstimateSyncSpec(date_range=days))
        for second, name in enumerate(("a", "b"))
    ]
    index = SyncIndex()
    for sync in syncs:
        index.put(sync)
    newest = index.find_active(Work(days=days))
    assert index.find_active(Work(days=days, mode=Mode.CHANGES)) is None
    ended = build_sync("b", second=1, version=2, phase=Phase.FAILED)
    index.put(msgspec.structs.replace(ended, spec=EstimateSyncSpec(date_range=days)))
    next_one = index.find_active(Work(days=days))
    index.remove("a", version=3)

    assert (newest, next_one, index.find_active(Work(days=days)), index.find_active(Work(days=other))) == (
        "b",
        "a",
        None,
        None,
    )

"""What an answer must show before anything that it does not show counts as deleted."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from estimatesync_job.core.deletions import IDS_PER_QUERY, MAX_WHOLE_IDS, Absent, Deletions, FoundIds, TooManyIdsError
from estimatesync_job.core.errors import (
    DatabaseUnavailableError,
    LoginFailedError,
    SourceInvalidError,
    SourceUnavailableError,
    SyncError,
)
from estimatesync_job.core.pages import PageBody, map_ids
from estimatesync_job.core.ports import Level
from estimatesync_job.core.queries import IdsQuery
from estimatesync_job.deletions import find_deletions
from msgspec import Raw

WITNESSES = (90, 80, 70, 60, 50, 40, 30, 20, 10)
Answer = Callable[[tuple[int, ...]], FoundIds]


def show(*living: int, is_whole: bool = True) -> Answer:
    """Show these of what is asked for, and every witness."""
    return lambda asked: FoundIds(ids=frozenset(asked) & {*living, *WITNESSES}, is_whole=is_whole)


def show_no_witness(*living: int) -> Answer:
    return lambda asked: FoundIds(ids=frozenset(asked) & {*living}, is_whole=True)


def show_only(*ids: int) -> Answer:
    return lambda _: FoundIds(ids=frozenset(ids), is_whole=True)


@dataclass
class Sample:
    """Attic Tech's answers, the last one again and again; the database; and the log."""

    absent: Absent
    answers: list[Answer | SyncError] = field(default_factory=lambda: [show()])
    asked: list[tuple[int, ...]] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)

    async def fetch_absent(self) -> Absent:
        return self.absent

    async def fetch_ids(self, query: IdsQuery) -> FoundIds:
        self.asked.append(query.ids)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, SyncError):
            raise answer
        return answer(query.ids)

    def write(self, action: str, message: str, *, level: Level = "info", **fields: str | float) -> None:
        assert message
        assert level == "info"
        assert fields
        self.actions.append(action)

    def find(self, *, max_percent: int = 100, seconds_left: float = math.inf) -> Deletions:
        async def find() -> Deletions:
            ends_at = asyncio.get_running_loop().time() + seconds_left
            return await find_deletions(self, self, log=self, max_percent=max_percent, ends_at=ends_at)  # type: ignore[arg-type]  # what it needs of them

        return asyncio.run(find())


def lack(*ids: int, estimates: int = 100, witnesses: Sequence[int] = WITNESSES, marked: tuple[int, ...] = ()) -> Absent:
    return Absent(estimates=estimates, ids=ids, witnesses=tuple(witnesses), marked=marked)


def test_where_everything_was_read_nothing_is_asked() -> None:
    sample = Sample(lack())

    assert (sample.find(), sample.asked, sample.actions) == (Deletions(), [], [])


def test_what_is_not_shown_next_to_the_witnesses_at_both_ends_is_gone() -> None:
    sample = Sample(lack(7, 8, 9), [show(8)])

    assert sample.find() == Deletions(absent=3, ids=(7, 9))
    assert sample.asked == [(90, 9, 8, 7, 10)]
    assert sample.actions == ["asking_for_absent"]


def test_what_is_shown_is_there() -> None:
    sample = Sample(lack(7, 8), [show(7, 8)])

    assert (sample.find(), sample.actions) == (Deletions(absent=2), ["asking_for_absent"])


def test_many_are_asked_for_in_turn() -> None:
    ids = tuple(range(1000, 1000 + 2 * IDS_PER_QUERY + 1))
    sample = Sample(lack(*ids, estimates=1000))

    assert sample.find() == Deletions(absent=len(ids), ids=ids)
    assert [len({*asked} - {*WITNESSES}) for asked in sample.asked] == [IDS_PER_QUERY, IDS_PER_QUERY, 1]


def test_a_server_that_shows_whole_estimates_is_asked_for_few_at_once_each_time_next_to_witnesses() -> None:
    class Heavy(Sample):
        async def fetch_ids(self, query: IdsQuery) -> FoundIds:
            if len(query.ids) > MAX_WHOLE_IDS:
                raise TooManyIdsError
            return await super().fetch_ids(query)

    ids, marked = tuple(range(1000, 1000 + IDS_PER_QUERY + 1)), tuple(range(500, 520))
    sample = Heavy(lack(*ids, marked=marked), [show(500, 519, 1000)])

    assert sample.find() == Deletions(absent=len(ids), ids=ids[1:], shown=(500, 519))
    assert [asked for asked in sample.asked if asked[0] not in WITNESSES] == [
        marked[:8],
        marked[8:16],
        marked[16:],
    ]
    questions = [asked for asked in sample.asked if asked[0] in WITNESSES]
    assert sorted(number for asked in questions for number in asked[1:-1]) == [*ids]
    assert all(asked[-1] in WITNESSES for asked in questions)


def test_a_witness_that_is_gone_itself_is_replaced_by_another() -> None:
    sample = Sample(lack(7), [show_only(90), show_only(80, 20)])

    assert sample.find().ids == (7,)
    assert sample.asked == [(90, 7, 10), (80, 7, 20)]


def test_an_answer_that_is_not_all_is_continued_with_what_it_has_not_shown() -> None:
    sample = Sample(lack(7, 8, 9), [show(9, is_whole=False), show(8, is_whole=False), show()])

    assert sample.find().ids == (7,)
    assert [{*asked} - {*WITNESSES} for asked in sample.asked] == [{7, 8, 9}, {7, 8}, {7}]


@pytest.mark.parametrize(
    ("answers", "because", "questions"),
    [
        pytest.param([show_only()], "does not show estimates by their ids", 3, id="nothing"),
        pytest.param([show_no_witness(7)], "does not show estimates by their ids", 4, id="one of them"),
        pytest.param([show(is_whole=False)], "does not show estimates by their ids", 3, id="never all"),
        pytest.param([show_only(*WITNESSES, 77)], "does not keep to the ids", 1, id="others"),
        pytest.param([SourceInvalidError("It refuses.")], "It refuses", 1, id="a refusal"),
        pytest.param([SourceUnavailableError("It is away.")], "It is away", 1, id="no answer"),
        pytest.param([LoginFailedError("No more.")], "No more", 1, id="no right"),
    ],
)
def test_in_doubt_nothing_is_marked(answers: list[Answer | SyncError], because: str, questions: int) -> None:
    sample = Sample(lack(7, 8), answers)

    deletions = sample.find()

    assert deletions.ids == ()
    assert because in str(deletions.unmarked_because)
    assert len(sample.asked) == questions
    assert sample.actions == ["asking_for_absent"]


def test_an_answer_that_does_not_come_leaves_time_to_store_what_was_read() -> None:
    class Silent(Sample):
        async def fetch_ids(self, query: IdsQuery) -> FoundIds:
            await asyncio.Event().wait()
            return await super().fetch_ids(query)

    sample = Silent(lack(7))

    assert "asking took longer than 0 s" in str(sample.find(seconds_left=0.1).unmarked_because)
    assert sample.actions == ["asking_for_absent"]


def test_what_is_marked_and_shown_is_there_and_what_is_not_shown_stays_marked() -> None:
    sample = Sample(lack(marked=(7, 8, 9)), [show_no_witness(8)])

    assert sample.find() == Deletions(shown=(8,))
    assert sample.asked == [(7, 8, 9)]


@pytest.mark.parametrize(
    ("absent", "answers"),
    [
        pytest.param(lack(*range(1, 50), marked=(77,)), [show(77)], id="too many are gone"),
        pytest.param(lack(6, marked=(77,), witnesses=()), [show(77)], id="no witness"),
        pytest.param(lack(6, marked=(77,)), [show(77), SourceUnavailableError("It is away.")], id="no answer"),
    ],
)
def test_a_doubt_about_what_is_gone_is_none_about_what_is_shown(
    absent: Absent, answers: list[Answer | SyncError]
) -> None:
    deletions = Sample(absent, answers).find(max_percent=5)

    assert (deletions.ids, deletions.shown, bool(deletions.unmarked_because)) == ((), (77,), True)


def test_without_a_witness_nothing_is_asked() -> None:
    sample = Sample(lack(7, witnesses=()))

    assert sample.find().unmarked_because == "Attic Tech shows no estimate of these days at all"
    assert sample.asked == []


@pytest.mark.parametrize("witnesses", [(5,), (6, 5), (6, 5, 4)])
def test_few_witnesses_are_asked_for_again_and_again(witnesses: tuple[int, ...]) -> None:
    sample = Sample(
        lack(7, witnesses=witnesses), [show_only(), show_only(), lambda asked: show_only(*{*asked} - {7})(asked)]
    )

    assert sample.find().ids == (7,)
    assert all({*asked} & {*witnesses} for asked in sample.asked)


@pytest.mark.parametrize("absent", [(1, 2, 3), (14, 15, 16), (97, 98, 99), (1, 15, 99)])
@pytest.mark.parametrize("witnesses", [tuple(range(10 * count, 0, -10)) for count in range(1, 11)])
def test_a_list_that_is_cut_anywhere_has_nothing_marked_that_is_there(
    witnesses: tuple[int, ...], absent: tuple[int, ...]
) -> None:
    def find_by(part: slice) -> Deletions:
        """Everything is there; only this part of the list is read."""
        return Sample(lack(*absent, witnesses=witnesses), [lambda asked: show_only(*asked[part])(asked)]).find()

    for count in range(len(absent) + 3):
        assert find_by(slice(count)).ids == ()
        if len(witnesses) > 1:
            assert find_by(slice(count, None)).ids == ()


@pytest.mark.parametrize(
    ("gone", "estimates", "max_percent", "is_believed"),
    [
        pytest.param(5, 100, 5, True, id="as many as are allowed"),
        pytest.param(6, 100, 5, False, id="one more"),
        pytest.param(1, 2, 5, True, id="a single one"),
        pytest.param(2, 39, 5, False, id="two of few"),
        pytest.param(2, 40, 5, True, id="two of enough"),
        pytest.param(2, 100, 0, False, id="none is allowed"),
    ],
)
def test_so_many_may_be_gone(gone: int, estimates: int, max_percent: int, *, is_believed: bool) -> None:
    sample = Sample(lack(*range(1, gone + 1), estimates=estimates))

    deletions = sample.find(max_percent=max_percent)

    assert len(deletions.ids) == (gone if is_believed else 0)
    assert ("SYNC_MAX_DELETED_PERCENT" in str(deletions.unmarked_because)) is not is_believed


def test_no_more_is_asked_once_too_many_are_gone() -> None:
    sample = Sample(lack(*range(1000, 2000), estimates=1000))

    assert sample.find(max_percent=5).unmarked_because
    assert len(sample.asked) == 1


def test_a_database_that_fails_ends_the_sync() -> None:
    class Broken(Sample):
        async def fetch_absent(self) -> Absent:
            raise DatabaseUnavailableError("gone")

    with pytest.raises(DatabaseUnavailableError):
        Broken(lack(7)).find()


@pytest.mark.parametrize(
    ("docs", "fields", "found"),
    [
        pytest.param([b'{"id":7}', b'{"id":"8","a":1}'], {}, FoundIds(ids=frozenset({7, 8}), is_whole=True), id="ids"),
        pytest.param([], {}, FoundIds(ids=frozenset(), is_whole=True), id="none"),
        pytest.param([b'{"id":7}'], {"has_next_page": True}, FoundIds(ids=frozenset({7}), is_whole=False), id="more"),
        pytest.param([b'{"id":7}'], {"limit": 1}, FoundIds(ids=frozenset({7}), is_whole=False), id="a smaller limit"),
    ],
)
def test_an_answer_is_read_by_its_ids_alone(docs: list[bytes], fields: dict[str, object], found: FoundIds) -> None:
    assert map_ids(PageBody(docs=tuple(map(Raw, docs)), **fields), limit=3) == found  # type: ignore[arg-type]  # the table's


@pytest.mark.parametrize("record", [b"{}", b'{"id":null}', b'{"id":"6f1a"}', b'{"id":-1}'])
def test_an_answer_about_something_without_a_number_is_refused(record: bytes) -> None:
    with pytest.raises(SourceInvalidError, match="sent some without"):
        map_ids(PageBody(docs=(Raw(record),)), limit=3)

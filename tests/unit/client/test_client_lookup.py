"""Which syncs a person means."""

from collections.abc import Callable
from typing import Any

import pytest
from estimatesync_client.core.api import ListQuery, Sync
from estimatesync_client.core.errors import NotFoundError, UsageError
from estimatesync_client.core.lookup import fetch_syncs, find_sync


@pytest.fixture
def stocked(fake_server: Any, build: Callable[..., Sync]) -> Any:
    fake_server.syncs = [build(f"est-2026-{number:03}") for number in range(250, 0, -1)]
    return fake_server


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("est-2026-007", "est-2026-007", id="an id, however old"),
        pytest.param("latest", "est-2026-250", id="the latest"),
        pytest.param("est-2026-25", "est-2026-250", id="the beginning of one"),
        pytest.param("6-201", "est-2026-201", id="the end of one"),
        pytest.param("6-001", "est-2026-001", id="the end of one that is old"),
    ],
)
def test_a_sync_is_found(stocked: Any, text: str, found: str) -> None:
    assert find_sync(stocked, text).sync_id == found


def test_a_part_that_fits_several_is_refused_with_their_names(stocked: Any) -> None:
    with pytest.raises(UsageError, match=r"est-2026-249, est-2026-248, est-2026-247, …") as raised:
        find_sync(stocked, "est-2026-24")

    assert raised.value.cure == "Give more of the id"


@pytest.mark.parametrize(
    ("count", "names"),
    [(2, "est-1, est-2."), (3, "est-1, est-2, est-3."), (4, "est-1, est-2, est-3, ….")],
)
def test_three_names_are_shown_of_those_that_may_be_meant(
    fake_server: Any, build: Callable[..., Sync], count: int, names: str
) -> None:
    fake_server.syncs = [build(f"est-{number}") for number in range(1, count + 1)]

    with pytest.raises(UsageError) as raised:
        find_sync(fake_server, "est")

    assert raised.value.message == f"Several syncs begin or end with est: {names}"


def test_a_part_of_an_id_is_looked_for_page_by_page_until_it_is_known_to_be_several(stocked: Any) -> None:
    with pytest.raises(UsageError, match="est-2026-249, est-2026-149, est-2026-049"):
        find_sync(stocked, "49")
    find_sync(stocked, "latest")
    with pytest.raises(UsageError):
        find_sync(stocked, "est-2026-24")

    assert [(query.limit, query.cursor) for query in stocked.queries] == [
        *((100, None), (100, "100"), (100, "200")),
        (1, None),
        (100, None),
    ]


def test_a_search_ends(fake_server: Any, build: Callable[..., Sync]) -> None:
    fake_server.syncs = [build(f"est-2026-{number:05}") for number in range(10_300, 0, -1)]

    with pytest.raises(NotFoundError):
        find_sync(fake_server, "026-00300")
    assert len(fake_server.queries) == 100
    assert find_sync(fake_server, "026-00301").sync_id == "est-2026-00301"
    with pytest.raises(
        UsageError, match="too many syncs to be sure that 026-00301 means only est-2026-00301"
    ) as raised:
        find_sync(fake_server, "026-00301", is_acted_on=True)

    assert raised.value.cure == "Give the whole id"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("est-2026-007", "est-2026-007", id="an id"),
        pytest.param("latest", "est-2026-250", id="the latest"),
        pytest.param("2026-201", "est-2026-201", id="eight characters"),
    ],
)
def test_a_sync_to_act_on_is_named_clearly(stocked: Any, text: str, found: str) -> None:
    assert find_sync(stocked, text, is_acted_on=True).sync_id == found


def test_a_few_characters_are_not_acted_on_even_if_one_sync_is_like_that(stocked: Any) -> None:
    with pytest.raises(UsageError, match="026-201 is too little of an id to act on; est-2026-201 begins") as raised:
        find_sync(stocked, "026-201", is_acted_on=True)

    assert raised.value.cure == "Give the whole id, or at least 8 characters of its start or end"
    with pytest.raises(NotFoundError):
        find_sync(stocked, "x", is_acted_on=True)
    with pytest.raises(UsageError, match="Several syncs begin or end with 1"):
        find_sync(stocked, "1", is_acted_on=True)


def test_another_sync_is_seen_however_old_it_is(fake_server: Any, build: Callable[..., Sync]) -> None:
    fake_server.syncs = [build(f"est-2026-{number:03}") for number in range(250, 0, -1)]
    fake_server.syncs.append(build("october-est-2026-250"))

    with pytest.raises(UsageError, match="est-2026-250, october-est-2026-250"):
        find_sync(fake_server, "2026-250", is_acted_on=True)


@pytest.mark.parametrize("text", [pytest.param("est-1999", id="unknown"), pytest.param("", id="blank")])
def test_what_fits_none_is_not_found(stocked: Any, text: str) -> None:
    with pytest.raises(NotFoundError):
        find_sync(stocked, text)


def test_there_is_no_latest_before_the_first(fake_server: Any) -> None:
    with pytest.raises(NotFoundError, match="There is no sync yet") as raised:
        find_sync(fake_server, "latest")

    assert "estimatesync start" in raised.value.cure


@pytest.mark.parametrize(
    ("limit", "limits", "cursor"),
    [
        pytest.param(20, [20], "20", id="one page"),
        pytest.param(230, [100, 100, 30], "230", id="as many as asked for"),
        pytest.param(1000, [100, 100, 100], None, id="all there are"),
    ],
)
def test_pages_are_read_until_there_are_enough(stocked: Any, limit: int, limits: list[int], cursor: str | None) -> None:
    page = fetch_syncs(stocked, ListQuery(limit=limit, statuses=("failed",)))

    assert len(page.syncs) == min(limit, 250)
    assert page.next_cursor == cursor
    assert [query.limit for query in stocked.queries] == limits
    assert {query.statuses for query in stocked.queries} == {("failed",)}

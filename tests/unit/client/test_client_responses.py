"""Parsing responses: the document stays whole, and another server is recognised."""

from collections.abc import Callable
from typing import Any

import pytest
from estimatesync_client.core.api import parse_acted, parse_started, parse_sync, parse_sync_page
from estimatesync_client.core.errors import NotEstimateSyncError
from estimatesync_contract.status import Phase


def test_a_sync_keeps_what_this_version_does_not_know(document: Callable[..., dict[str, Any]]) -> None:
    body = document(shoe_size=42)

    sync = parse_sync(body)

    assert sync.document == body
    assert (sync.progress and sync.progress.text, sync.results and sync.results.new_estimates) == ("17/17", 45)


def test_a_sync_of_which_nothing_is_known_yet_can_be_read() -> None:
    names = ("reason", "message", "date_range", "progress", "results", "callback", "created_at", "started_at")

    sync = parse_sync({"sync_id": "est-1", "status": "queued", **dict.fromkeys(names)})

    assert (sync.is_finished, sync.progress) == (False, None)


def test_a_sync_is_finished_in_exactly_the_final_phases() -> None:
    finished = {phase for phase in Phase if parse_sync({"sync_id": "x", "status": phase.lower()}).is_finished}

    assert finished == {phase for phase in Phase if phase.is_final}


def test_a_page_lists_syncs_and_says_where_the_next_ones_begin(document: Callable[..., dict[str, Any]]) -> None:
    page = parse_sync_page({"success": True, "syncs": [document("est-2"), document("est-1")], "next_cursor": "abc"})

    assert [sync.sync_id for sync in page.syncs] == ["est-2", "est-1"]
    assert page.next_cursor == "abc"


def test_answers_to_commands_are_read() -> None:
    sync: dict[str, Any] = {"sync_id": "est-1"}

    assert parse_started({"success": True, "sync_id": "est-1", "message": "Started."}).sync_id == "est-1"
    assert parse_acted({"success": True, "message": "Is being cancelled.", "sync": sync}).document["sync"] == sync


@pytest.mark.parametrize(
    "parse",
    [
        pytest.param(lambda: parse_sync({"success": True}), id="no id"),
        pytest.param(lambda: parse_sync({"sync_id": 1, "status": "queued"}), id="wrong type"),
        pytest.param(lambda: parse_started({"success": True}), id="no id of a start"),
        pytest.param(lambda: parse_sync_page({"success": True, "syncs": None}), id="no list"),
        pytest.param(lambda: parse_sync_page({"success": True, "syncs": [], "next_cursor": 7}), id="no cursor"),
        pytest.param(lambda: parse_sync_page({"success": True, "syncs": ["est-1"]}), id="no syncs in the list"),
    ],
)
def test_an_unknown_shape_is_not_estimatesync(parse: Callable[[], object]) -> None:
    with pytest.raises(NotEstimateSyncError, match="a shape that this program does not know"):
        parse()

"""The record store: each edit shows in the next query and in nothing read before."""

import pytest
from sample_attic_tech import RecordStore


def test_edits_show_in_the_next_query() -> None:
    store = RecordStore([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])

    store.insert({"id": 3, "name": "c"})
    updated = store.update(1, {"name": "z"})
    store.delete(2)

    found = store.query(sort=("id",))
    assert found.docs == [{"id": 1, "name": "z"}, {"id": 3, "name": "c"}]
    assert updated == store.read(1) == {"id": 1, "name": "z"}
    assert len(store) == 2


def test_what_was_read_before_an_edit_stays_as_it_was() -> None:
    given = {"id": 1, "name": "a"}
    store = RecordStore([given])
    before = store.read_all()

    store.update(1, {"name": "z"})
    given["name"] = store.read(1)["name"] = "stray edit of a copy"

    assert before == [{"id": 1, "name": "a"}]
    assert store.read_all() == [{"id": 1, "name": "z"}]


def test_impossible_edits_are_refused_and_change_nothing() -> None:
    store = RecordStore([{"id": 1}])

    with pytest.raises(ValueError, match="already a record with id 1"):
        store.insert({"id": 1, "name": "twin"})
    with pytest.raises(ValueError, match="never changes"):
        store.update(1, {"id": 2})
    with pytest.raises(KeyError):
        store.update(9, {"name": "unknown"})
    with pytest.raises(KeyError):
        store.delete(9)

    assert store.read_all() == [{"id": 1}]

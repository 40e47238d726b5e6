import logging

import pytest
from estimatesync_operator.workqueue import current_sync, install_sync_ids


class Collector(logging.Handler):
    """Keeps what passes."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def collector() -> Collector:
    handler = Collector()
    install_sync_ids([handler])
    return handler


def test_a_line_logged_during_a_reconcile_carries_the_id_of_the_sync(collector: Collector) -> None:
    token = current_sync.set("est-1")

    collector.handle(logging.makeLogRecord({"msg": "a library's words"}))
    collector.handle(logging.makeLogRecord({"msg": "ours", "sync_id": "est-2"}))
    current_sync.reset(token)

    assert [vars(record)["sync_id"] for record in collector.records] == ["est-1", "est-2"]


def test_a_line_logged_outside_a_reconcile_is_left_as_it_is(collector: Collector) -> None:
    collector.handle(logging.makeLogRecord({"msg": "started"}))

    assert not hasattr(collector.records[0], "sync_id")

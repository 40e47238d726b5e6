from datetime import UTC, datetime, timedelta

from estimatesync_operator.core.watch_health import WatchHealth

NOW = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)
LATER = NOW + timedelta(minutes=4)


def test_silence_alone_proves_nothing() -> None:
    health = WatchHealth()
    health.note_event("jobs", now=NOW)

    assert health.compute_blindness(now=LATER) == timedelta()
    assert health.last_events == {"jobs": NOW}


def test_a_write_that_is_not_shown_proves_blindness_since_the_first_of_them() -> None:
    health = WatchHealth()
    health.expect(5, now=NOW)
    health.expect(6, now=LATER)

    assert health.compute_blindness(now=LATER) == timedelta(minutes=4)


def test_whatever_is_shown_later_shows_that_the_watch_is_alive() -> None:
    health = WatchHealth()
    health.expect(5, now=NOW)
    health.expect(7, now=NOW)

    health.note_version(6)
    assert health.compute_blindness(now=LATER) == timedelta(minutes=4)
    health.note_version(9)
    assert health.compute_blindness(now=LATER) == timedelta()


def test_the_watch_may_be_faster_than_the_answer() -> None:
    health = WatchHealth()
    health.note_version(5)

    health.expect(5, now=NOW)

    assert health.compute_blindness(now=LATER) == timedelta()

from datetime import UTC, datetime, timedelta, timezone

from estimatesync_contract.names import SYNC_NAME_MAX_LENGTH, build_callback_id, build_job_name, build_sync_name

UID = "6e0d2c9c-6d0f-4b5e-9f5e-0a4b7c1d2e3f"


def test_a_job_name_fits_a_label_and_depends_on_the_uid_alone() -> None:
    name = build_job_name(UID)

    assert name == f"estimatesync-{UID}"
    assert len(name) <= 63


def test_a_callback_id_is_the_same_for_every_attempt() -> None:
    assert build_callback_id(UID) == build_callback_id(UID) == f"msg_{UID}"


def test_a_sync_name_contains_the_time_in_utc_and_fits_a_label() -> None:
    created_at = datetime(2025, 10, 16, 10, 9, 0, 7_900, tzinfo=timezone(timedelta(hours=-4)))

    name = build_sync_name(created_at, "k3x9q")

    assert name == "est-20251016-140900007-k3x9q"
    assert len(name) <= SYNC_NAME_MAX_LENGTH


def test_names_of_one_second_sort_as_they_were_made() -> None:
    first = build_sync_name(datetime(2025, 10, 16, 14, 9, 0, 99_000, tzinfo=UTC), "zzzz")
    second = build_sync_name(datetime(2025, 10, 16, 14, 9, 0, 100_000, tzinfo=UTC), "aaaa")

    assert first < second

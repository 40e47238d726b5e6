"""Each reason why a sync is stuck or failed is brought about by a test of the real programs, which this table names."""

import ast
import re
from pathlib import Path

import pytest
from estimatesync_contract.causes import CAUSES, Reason

TESTS = Path(__file__).parents[1]
CAUSES_TEST = "e2e/product/test_causes_on_cluster.py"
BLOCKER = f"{CAUSES_TEST}::test_what_keeps_a_sync_from_running_shows_while_it_lasts_and_ends_it_by_the_limit"
SPOILT = f"{CAUSES_TEST}::test_a_result_that_cannot_be_had_is_never_made_up"
NODES_TEST = "e2e/product/test_played_nodes.py"
CHANGED_PODS_TEST = "e2e/product/test_changed_pods.py"
INIT_STUCK = "test_an_init_container_that_is_not_ours_is_named_while_it_is_in_the_way_and_ends_the_sync_by_the_limit"
TURNED_AWAY = f"{NODES_TEST}::test_a_pod_that_its_node_turns_away_ends_a_sync_without_retries"
PRODUCT_TEST = "e2e/product/test_product_on_cluster.py"
JOB_TESTS = "integration/syncjob"
PROVOKED = {
    Reason.JOB_REFUSED: BLOCKER,
    Reason.POD_REFUSED: BLOCKER,
    Reason.LIMIT_MISSING: BLOCKER,
    Reason.UNSCHEDULABLE: BLOCKER,
    Reason.IMAGE_PULL_FAILED: BLOCKER,
    Reason.SECRET_MISSING: BLOCKER,
    Reason.CONTAINER_REFUSED: (
        f"{NODES_TEST}::test_a_container_that_the_node_cannot_start_shows_and_ends_the_sync_by_the_limit"
    ),
    Reason.INIT_CONTAINER_STUCK: f"{NODES_TEST}::{INIT_STUCK}",
    Reason.INIT_CONTAINER_FAILED: f"{NODES_TEST}::test_an_init_container_that_fails_ends_the_sync_and_is_named",
    Reason.JOB_SUSPENDED: "e2e/product/test_suspended_jobs.py::test_a_suspended_job_ends_its_sync_by_the_limit",
    Reason.SCHEDULING_GATED: (
        f"{CHANGED_PODS_TEST}::test_a_gated_pod_shows_gives_its_slot_back_and_goes_on_once_the_gate_is_gone"
    ),
    Reason.OUT_OF_STORAGE: TURNED_AWAY,
    Reason.NODE_LOST: f"{CAUSES_TEST}::test_a_lost_node_shows_and_ends_the_sync_by_the_limit",
    Reason.CANCELLED: f"{PRODUCT_TEST}::test_a_cancelled_sync_stops_keeps_its_record_and_tells",
    Reason.DEADLINE_EXCEEDED: f"{CAUSES_TEST}::test_a_sync_past_its_deadline_fails_with_deadline_exceeded",
    Reason.OUT_OF_MEMORY: f"{CAUSES_TEST}::test_a_sync_over_its_memory_limit_fails_with_out_of_memory",
    Reason.EVICTED: TURNED_AWAY,
    Reason.EVICTED_TOO_OFTEN: (
        f"{CAUSES_TEST}::test_a_sync_that_is_drained_again_and_again_ends_by_the_bound_and_changes_no_row"
    ),
    Reason.NODE_REFUSED: TURNED_AWAY,
    Reason.POD_FAILED: f"{CAUSES_TEST}::test_a_run_that_is_killed_says_with_what_exit_code",
    Reason.MALFORMED: (
        "e2e/product/test_definition_on_cluster.py"
        "::test_an_object_that_cannot_be_read_is_reported_once_and_does_not_affect_others"
    ),
    Reason.JOB_DELETED: f"{CAUSES_TEST}::test_a_job_that_a_person_deletes_ends_the_sync",
    Reason.JOB_CONFLICT: "e2e/resilience/test_operators.py::test_a_foreign_job_of_our_name_is_reported_and_left_alone",
    Reason.RESULT_MISSING: SPOILT,
    Reason.RESULT_BROKEN: SPOILT,
    Reason.LOGIN_FAILED: f"{PRODUCT_TEST}::test_bad_credentials_end_at_once_in_the_error_callback_word_for_word",
    Reason.SOURCE_UNAVAILABLE: (
        f"{JOB_TESTS}/test_job_responses_over_http.py::test_a_wait_beyond_the_end_of_the_sync_ends_it_now"
    ),
    Reason.SOURCE_INVALID: f"{JOB_TESTS}/test_job_responses_over_http.py::test_a_page_in_another_order_ends_it_by_name",
    Reason.SOURCE_CHANGING: (
        f"{JOB_TESTS}/test_job_changing_source.py"
        "::test_ids_that_are_no_numbers_and_change_until_the_syncs_time_is_over_change_no_row_and_may_be_retried"
    ),
    Reason.SOURCE_EMPTY: f"{JOB_TESTS}/test_job_few_estimates.py::test_too_few_estimates_change_no_row",
    Reason.FIELDS_UNSHOWN: f"{JOB_TESTS}/test_job_unshown_fields.py::test_too_much_that_is_not_shown_changes_no_row",
    Reason.RECORD_INVALID: f"{JOB_TESTS}/test_job_runs.py::test_a_record_that_cannot_be_stored_stores_nothing_at_all",
    Reason.DATABASE_UNAVAILABLE: f"{CAUSES_TEST}::test_retries_that_run_out_are_counted_in_the_cause",
    Reason.DATABASE_REFUSED: (
        "e2e/chart/test_database_tls_on_cluster.py"
        "::test_an_untrusted_database_gets_no_estimates_and_the_status_says_why"
    ),
    Reason.CONFIGURATION_INVALID: (
        f"{JOB_TESTS}/test_job_runs.py::test_missing_settings_are_all_named_and_nothing_is_asked"
    ),
    Reason.INTERRUPTED: (
        f"{JOB_TESTS}/test_job_database.py"
        "::test_a_sync_that_is_stopped_half_way_stores_nothing_and_another_process_completes_it"
    ),
    Reason.INTERNAL_ERROR: (
        f"{JOB_TESTS}/test_job_surroundings.py::test_an_unexpected_error_is_reported_as_a_defect_and_may_be_retried"
    ),
}


def read_test(address: str) -> str:
    """Read a test's source, with the tables above it."""
    path, _, name = address.partition("::")
    source = (TESTS / path).read_text()
    (test,) = (each for each in ast.parse(source).body if isinstance(each, ast.FunctionDef) and each.name == name)
    begin = min([test.lineno, *(each.lineno for each in test.decorator_list)])
    return "\n".join(source.splitlines()[begin - 1 : test.end_lineno])


def test_every_cause_is_provoked() -> None:
    assert PROVOKED.keys() == {cause.reason for cause in CAUSES}


@pytest.mark.parametrize("reason", PROVOKED)
def test_the_test_that_provokes_a_reason_is_there_and_names_it(reason: Reason) -> None:
    test = read_test(PROVOKED[reason])

    assert re.search(rf'"{reason.value}"|Reason\.{reason.name}\b', test)

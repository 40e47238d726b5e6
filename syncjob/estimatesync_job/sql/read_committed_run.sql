SELECT
    total_fetched, new_estimates, updated_estimates, unchanged_estimates, skipped_estimates,
    unshown_estimates, total_processed, complete_as_of, skipped_ids, unshown_fields, previous_total_fetched,
    mode, whole_because,
    deleted_estimates, unmarked_because
FROM sync_run
WHERE uid = %(sync_uid)s

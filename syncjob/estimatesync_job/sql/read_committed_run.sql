SELECT total_fetched, new_estimates, updated_estimates, unchanged_estimates, total_processed, complete_as_of
FROM sync_run
WHERE uid = %(sync_uid)s

-- The newest sync that a sync of changes may rest on. Where none may, the one that comes closest: it says what is wrong.
SELECT
    run.uid,
    run.sync_name,
    run.whole_uid,
    run.complete_as_of,
    run.highest_id,
    run.ask_again,
    run.hidden_columns,
    transaction_timestamp() - run.committed_at AS age,
    run.settings_digest = sha256(convert_to(run.uid || %(settings_digest)s, 'UTF8')) AS has_same_settings,
    transaction_timestamp() - whole.committed_at AS whole_age,
    whole.total_fetched,
    run.no_base_because
FROM sync_run AS run
LEFT JOIN sync_run AS whole ON whole.uid = run.whole_uid
WHERE
    -- A chain ends within days; no more rows are looked at than that takes, however many there are.
    run.committed_at > transaction_timestamp() - interval '14 days'
    AND run.range_start <= %(range_start)s
    -- Up to its own end, less what is asked for again in any case (OVERLAP).
    AND run.range_end >= least(%(range_end)s, run.complete_as_of - interval '5 minutes')
    AND run.complete_as_of IS NOT NULL
ORDER BY
    has_same_settings DESC,
    run.no_base_because IS NULL DESC,
    coalesce(whole.committed_at >= transaction_timestamp() - %(max_whole_age)s::interval, false) DESC,
    run.committed_at DESC
LIMIT 1

-- The newest sync that a sync of changes may rest on, and what other syncs have stored since the whole one at its root.
-- Where none may, the one that comes closest: it says what is wrong.
SELECT
    base.uid,
    base.sync_name,
    base.whole_uid,
    base.complete_as_of,
    base.highest_id,
    base.ask_again,
    -- Those that this sync would list, too.
    ARRAY(
        SELECT attic_tech_estimate_id FROM estimate
        WHERE
            attic_tech_estimate_id = ANY(base.witnesses)
            AND at_updated_date BETWEEN %(range_start)s AND %(range_end)s
        ORDER BY attic_tech_estimate_id DESC
    ) AS witnesses,
    base.hidden_columns,
    transaction_timestamp() - base.committed_at AS age,
    base.has_same_settings,
    transaction_timestamp() - base.whole_committed_at AS whole_age,
    base.no_base_because,
    (
        SELECT run.sync_name FROM sync_run AS run
        WHERE
            run.committed_at >= base.whole_committed_at
            AND (
                run.settings_digest IS DISTINCT FROM sha256(convert_to(run.uid || %(settings_digest)s, 'UTF8'))
                OR run.was_alone IS NULL
            )
        ORDER BY run.committed_at DESC
        LIMIT 1
    ) AS other_sync,
    (
        SELECT run.sync_name FROM sync_run AS run
        WHERE run.committed_at >= base.whole_committed_at AND NOT run.was_alone
        ORDER BY run.committed_at DESC
        LIMIT 1
    ) AS crossing_sync,
    (
        SELECT count(*) FROM estimate
        WHERE at_updated_date BETWEEN %(range_start)s AND %(range_end)s AND deleted_at IS NULL
    ) AS stored_estimates
FROM (
    SELECT
        run.*,
        run.settings_digest = sha256(convert_to(run.uid || %(settings_digest)s, 'UTF8')) AS has_same_settings,
        whole.committed_at AS whole_committed_at
    FROM sync_run AS run
    LEFT JOIN sync_run AS whole ON whole.uid = run.whole_uid AND whole.committed_at <= run.committed_at
    WHERE
        -- A chain ends within days; no more rows are looked at than that takes, however many there are. What has been
        -- recorded by a clock that was wrong once is not what is newest.
        run.committed_at BETWEEN transaction_timestamp() - interval '14 days' AND transaction_timestamp()
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
) AS base

-- Few names for many estimates: read once and hashed, not looked up for each estimate.
WITH branches AS MATERIALIZED (SELECT id, name FROM branch),
sales_persons AS MATERIALIZED (SELECT id, name FROM sales_person),
statuses AS MATERIALIZED (SELECT id, name FROM estimate_status),
-- What is new or has changed; each estimate is looked up once.
source AS MATERIALIZED (
    SELECT
        staging.*,
        branches.id AS branch_id,
        sales_persons.id AS sales_person_id,
        statuses.id AS status_id,
        estimate.id AS stored_id
    FROM staging
    LEFT JOIN branches ON branches.name = staging.branch_name
    LEFT JOIN sales_persons ON sales_persons.name = staging.sales_person_name
    LEFT JOIN statuses ON statuses.name = staging.status_name
    LEFT JOIN estimate ON estimate.attic_tech_estimate_id = staging.attic_tech_estimate_id
    WHERE
        estimate.id IS NULL
        -- A sync that fetched before another one, and merges after it, must not bring old versions back. What another
        -- one wrote before this transaction began, which is before the login, has been read again since: then the stamps
        -- say nothing, for they are by several clocks. A row that no sync has written yet came from an import, whose
        -- times may be wrong.
        OR (
            (
                (
                    staging.at_updated_date < estimate.at_updated_date
                    AND estimate.last_synced_at >= transaction_timestamp()
                ) IS NOT TRUE
                OR starts_with(estimate.last_sync_uid, 'import:')
            )
            AND (
                estimate.name, estimate.customer_name, estimate.customer_email, estimate.customer_phone,
                estimate.customer_address,
                estimate.price, estimate.retail_cost, estimate.final_price, estimate.sub_service_retail_cost,
                estimate.discount, estimate.final_price_after_taxes,
                estimate.attic_tech_hours, estimate.crew_notes, estimate.payment_method, estimate.at_created_date,
                estimate.at_updated_date,
                estimate.branch_id, estimate.sales_person_id, estimate.status_id, estimate.deleted_at
            ) IS DISTINCT FROM (
                staging.name, staging.customer_name, staging.customer_email, staging.customer_phone,
                staging.customer_address,
                staging.price, staging.retail_cost, staging.final_price, staging.sub_service_retail_cost,
                staging.discount, staging.final_price_after_taxes,
                staging.attic_tech_hours, staging.crew_notes, staging.payment_method, staging.at_created_date,
                staging.at_updated_date,
                branches.id, sales_persons.id, statuses.id, NULL
            )
        )
),
inserted AS (
    INSERT INTO estimate (
        attic_tech_estimate_id,
        name, customer_name, customer_email, customer_phone, customer_address,
        price, retail_cost, final_price, sub_service_retail_cost, discount, final_price_after_taxes,
        attic_tech_hours, crew_notes, payment_method, at_created_date, at_updated_date,
        branch_id, sales_person_id, status_id,
        first_synced_at, last_synced_at, first_sync_uid, last_sync_uid
    )
    SELECT
        attic_tech_estimate_id,
        name, customer_name, customer_email, customer_phone, customer_address,
        price, retail_cost, final_price, sub_service_retail_cost, discount, final_price_after_taxes,
        attic_tech_hours, crew_notes, payment_method, at_created_date, at_updated_date,
        branch_id, sales_person_id, status_id,
        statement_timestamp(), statement_timestamp(), %(sync_uid)s, %(sync_uid)s
    FROM source
    WHERE stored_id IS NULL
    RETURNING 1
),
changed AS (
    UPDATE estimate
    SET (
        name, customer_name, customer_email, customer_phone, customer_address,
        price, retail_cost, final_price, sub_service_retail_cost, discount, final_price_after_taxes,
        attic_tech_hours, crew_notes, payment_method, at_created_date, at_updated_date,
        branch_id, sales_person_id, status_id, deleted_at,
        last_synced_at, last_sync_uid
    ) = ROW (
        source.name, source.customer_name, source.customer_email, source.customer_phone, source.customer_address,
        source.price, source.retail_cost, source.final_price, source.sub_service_retail_cost, source.discount,
        source.final_price_after_taxes,
        source.attic_tech_hours, source.crew_notes, source.payment_method, source.at_created_date,
        source.at_updated_date,
        source.branch_id, source.sales_person_id, source.status_id, NULL,
        statement_timestamp(), %(sync_uid)s
    )
    FROM source
    WHERE
        estimate.id = source.stored_id
    RETURNING 1
),
-- A whole sync that was committed since this one began has seen what there was, even where it changed nothing.
crossing AS MATERIALIZED (
    SELECT EXISTS (
        SELECT FROM sync_run AS run
        WHERE run.mode = 'Whole' AND run.committed_at BETWEEN transaction_timestamp() AND statement_timestamp()
    ) AS is_crossed
),
deleted AS (
    UPDATE estimate
    SET (deleted_at, last_synced_at, last_sync_uid) = ROW (statement_timestamp(), statement_timestamp(), %(sync_uid)s)
    WHERE
        attic_tech_estimate_id = ANY(%(gone)s::bigint[])
        AND deleted_at IS NULL
        -- What a sync has written since shortly before this transaction began, it has seen: a server that lags may not
        -- have shown it to this one yet.
        AND last_synced_at < transaction_timestamp() - %(overlap)s
        AND NOT (SELECT is_crossed FROM crossing)
    RETURNING 1
),
restored AS (
    UPDATE estimate
    SET (deleted_at, last_synced_at, last_sync_uid) = ROW (NULL, statement_timestamp(), %(sync_uid)s)
    WHERE
        attic_tech_estimate_id = ANY(%(shown)s::bigint[])
        -- A sync that has marked it since this one began may have asked for it later.
        AND deleted_at < transaction_timestamp()
),
counts AS MATERIALIZED (
    SELECT
        (SELECT count(*) FROM staging) AS processed,
        (SELECT count(*) FROM inserted) AS inserted,
        (SELECT count(*) FROM changed) AS changed,
        (SELECT count(*) FROM deleted) AS deleted
)
INSERT INTO sync_run (
    uid, sync_name, start_date, end_date,
    total_fetched, new_estimates, updated_estimates, unchanged_estimates, total_processed, committed_at, complete_as_of,
    skipped_estimates, skipped_ids, unshown_estimates, unshown_fields, previous_total_fetched,
    mode, whole_because, base_uid, whole_uid, range_start, range_end, settings_digest, highest_id, ask_again,
    witnesses, hidden_columns, no_base_because, was_alone,
    deleted_estimates, unmarked_because
)
SELECT
    %(sync_uid)s, %(sync_name)s, %(start_date)s, %(end_date)s,
    processed + %(skipped)s, inserted, processed - inserted, processed - inserted - changed, processed,
    statement_timestamp(), %(complete_as_of)s, %(skipped)s, %(skipped_ids)s::text[],
    %(unshown)s, %(unshown_fields)s::text[],
    (
        SELECT run.total_fetched
        FROM sync_run AS run
        WHERE
            run.mode = 'Whole'
            AND %(mode)s = 'Whole'
            AND run.end_date - run.start_date = %(end_date)s - %(start_date)s
            AND run.end_date BETWEEN %(end_date)s - 7 AND %(end_date)s + 7
        ORDER BY run.committed_at DESC
        LIMIT 1
    ),
    %(mode)s, %(whole_because)s, %(base_uid)s, coalesce(%(whole_uid)s, %(sync_uid)s), %(range_start)s, %(range_end)s,
    sha256(convert_to(%(sync_uid)s || %(settings_digest)s, 'UTF8')), %(highest_id)s, %(ask_again)s::bigint[],
    CASE
        WHEN %(base_uid)s::text IS NOT NULL THEN %(witnesses)s::bigint[]
        ELSE ARRAY(
            -- Of each branch, for an account may see some of them alone, the one that shows most; and none that leaves
            -- the range of the next nights, if there is another.
            SELECT (max(ARRAY[
                (at_updated_date >= %(range_start)s + interval '7 days')::integer,
                num_nonnulls(
                    name, customer_name, customer_email, customer_phone, customer_address,
                    price, retail_cost, final_price, sub_service_retail_cost, discount, final_price_after_taxes,
                    attic_tech_hours, crew_notes, payment_method, branch_name, sales_person_name
                ),
                attic_tech_estimate_id
            ]))[3]
            FROM staging
            WHERE unshown IS NULL AND at_updated_date BETWEEN %(range_start)s AND %(range_end)s
            GROUP BY branch_name
            ORDER BY count(*) DESC
            LIMIT %(max_witnesses)s
        )
    END,
    %(hidden_columns)s::text[],
    -- What was found out while this sync was at work.
    coalesce(%(no_base_because)s, (SELECT run.no_base_because FROM sync_run AS run WHERE run.uid = %(base_uid)s)),
    NOT EXISTS (
        SELECT FROM sync_run AS run WHERE run.committed_at BETWEEN transaction_timestamp() AND statement_timestamp()
    ),
    CASE WHEN %(marks_deletions)s THEN deleted END,
    CASE
        WHEN is_crossed AND cardinality(%(gone)s::bigint[]) > 0 THEN %(crossed_because)s::text
        ELSE %(unmarked_because)s::text
    END
FROM counts, crossing
RETURNING
    total_fetched, new_estimates, updated_estimates, unchanged_estimates, skipped_estimates,
    unshown_estimates, total_processed, complete_as_of, skipped_ids, unshown_fields, previous_total_fetched,
    mode, whole_because,
    deleted_estimates, unmarked_because

-- How many of the staged estimates and names are not in the tables after the merge, although nothing was refused, or
-- are there as they were before it.
SELECT
    (
        SELECT count(DISTINCT attic_tech_estimate_id) FROM staging
        WHERE NOT EXISTS (
            SELECT FROM estimate WHERE estimate.attic_tech_estimate_id = staging.attic_tech_estimate_id
        )
    )
    + (
        SELECT count(DISTINCT branch_name) FROM staging
        WHERE branch_name IS NOT NULL AND NOT EXISTS (SELECT FROM branch WHERE branch.name = staging.branch_name)
    )
    + (
        SELECT count(DISTINCT sales_person_name) FROM staging
        WHERE
            sales_person_name IS NOT NULL
            AND NOT EXISTS (SELECT FROM sales_person WHERE sales_person.name = staging.sales_person_name)
    )
    + (
        SELECT count(DISTINCT status_name) FROM staging
        WHERE NOT EXISTS (SELECT FROM estimate_status WHERE estimate_status.name = staging.status_name)
    )
    + CASE
        -- Only such a trigger can drop a change, and to look for one costs as much as a part of the merge. One that
        -- alters what it is given says by `last_sync_uid` that it has let the change through.
        WHEN EXISTS (
            SELECT FROM pg_trigger
            WHERE
                tgrelid = 'estimate'::regclass
                AND NOT tgisinternal
                AND tgenabled <> 'D'
                -- BEFORE, FOR EACH ROW, UPDATE
                AND tgtype & 19 = 19
        ) THEN (
            SELECT count(*)
            FROM (
                SELECT DISTINCT ON (attic_tech_estimate_id) *
                FROM staging
                ORDER BY attic_tech_estimate_id, arrival DESC
            ) AS newest
            JOIN estimate ON estimate.attic_tech_estimate_id = newest.attic_tech_estimate_id
            LEFT JOIN branch ON branch.id = estimate.branch_id
            LEFT JOIN sales_person ON sales_person.id = estimate.sales_person_id
            LEFT JOIN estimate_status ON estimate_status.id = estimate.status_id
            WHERE
                estimate.last_sync_uid <> %(sync_uid)s
                AND (
                    (
                        newest.at_updated_date < estimate.at_updated_date
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
                    branch.name, sales_person.name, estimate_status.name
                ) IS DISTINCT FROM (
                    newest.name, newest.customer_name, newest.customer_email, newest.customer_phone,
                    newest.customer_address,
                    newest.price, newest.retail_cost, newest.final_price, newest.sub_service_retail_cost,
                    newest.discount, newest.final_price_after_taxes,
                    newest.attic_tech_hours, newest.crew_notes, newest.payment_method, newest.at_created_date,
                    newest.at_updated_date,
                    newest.branch_name, newest.sales_person_name, newest.status_name
                )
        )
        ELSE 0
    END

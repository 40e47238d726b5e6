-- How many of the staged estimates and names are not in the tables after the merge, although nothing was refused, or
-- are there as they were before it. Only a trigger or a rule can do that, or what is no plain table, and to look for it
-- costs as much as a part of the merge.
SELECT CASE WHEN EXISTS (
    SELECT FROM pg_class
    WHERE
        oid IN ('estimate'::regclass, 'branch'::regclass, 'sales_person'::regclass, 'estimate_status'::regclass)
        AND (
            relkind <> 'r'
            OR relhasrules
            OR EXISTS (
                SELECT FROM pg_trigger WHERE tgrelid = pg_class.oid AND NOT tgisinternal AND tgenabled <> 'D'
            )
        )
) THEN
    (
        SELECT count(*) FROM staging
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
        -- Only such a trigger can drop a change. One that alters what it is given says by `last_sync_uid` that it has
        -- let the change through.
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
            FROM staging
            JOIN estimate ON estimate.attic_tech_estimate_id = staging.attic_tech_estimate_id
            LEFT JOIN branch ON branch.id = estimate.branch_id
            LEFT JOIN sales_person ON sales_person.id = estimate.sales_person_id
            LEFT JOIN estimate_status ON estimate_status.id = estimate.status_id
            WHERE
                estimate.last_sync_uid <> %(sync_uid)s
                AND (
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
                    branch.name, sales_person.name, estimate_status.name, estimate.deleted_at
                ) IS DISTINCT FROM (
                    staging.name, staging.customer_name, staging.customer_email, staging.customer_phone,
                    staging.customer_address,
                    staging.price, staging.retail_cost, staging.final_price, staging.sub_service_retail_cost,
                    staging.discount, staging.final_price_after_taxes,
                    staging.attic_tech_hours, staging.crew_notes, staging.payment_method, staging.at_created_date,
                    staging.at_updated_date,
                    staging.branch_name, staging.sales_person_name, staging.status_name, NULL
                )
        )
        ELSE 0
    END
ELSE 0 END

-- Of how many estimates each column is not shown; in the row without a column, of how many any is. A column that no
-- record shows counts where a value is stored that would be lost; a relation counts everywhere.
WITH unshown AS (
    SELECT staging.attic_tech_estimate_id, unshown_columns.name
    FROM staging
    CROSS JOIN LATERAL unnest(staging.unshown) AS unshown_columns (name)
    UNION
    SELECT staging.attic_tech_estimate_id, hidden_columns.name
    FROM staging
    CROSS JOIN unnest(%(hidden)s::text[]) AS hidden_columns (name)
    -- Without a filter on the stored ones, which a planner that knows no temporary table would repeat for each of them.
    LEFT JOIN estimate ON estimate.attic_tech_estimate_id = staging.attic_tech_estimate_id
    WHERE
        hidden_columns.name = ANY (%(relations)s)
        OR CASE hidden_columns.name
            WHEN 'name' THEN estimate.name IS NOT NULL
            WHEN 'customer_name' THEN estimate.customer_name IS NOT NULL
            WHEN 'customer_email' THEN estimate.customer_email IS NOT NULL
            WHEN 'customer_phone' THEN estimate.customer_phone IS NOT NULL
            WHEN 'customer_address' THEN estimate.customer_address IS NOT NULL
            WHEN 'price' THEN estimate.price IS NOT NULL
            WHEN 'retail_cost' THEN estimate.retail_cost IS NOT NULL
            WHEN 'final_price' THEN estimate.final_price IS NOT NULL
            WHEN 'sub_service_retail_cost' THEN estimate.sub_service_retail_cost IS NOT NULL
            WHEN 'discount' THEN estimate.discount IS NOT NULL
            WHEN 'final_price_after_taxes' THEN estimate.final_price_after_taxes IS NOT NULL
            WHEN 'attic_tech_hours' THEN estimate.attic_tech_hours IS NOT NULL
            WHEN 'crew_notes' THEN estimate.crew_notes IS NOT NULL
            WHEN 'payment_method' THEN estimate.payment_method IS NOT NULL
            WHEN 'at_created_date' THEN estimate.at_created_date IS NOT NULL
            WHEN 'at_updated_date' THEN estimate.at_updated_date IS NOT NULL
            WHEN 'branch_name' THEN estimate.branch_id IS NOT NULL
            WHEN 'sales_person_name' THEN estimate.sales_person_id IS NOT NULL
            WHEN 'status_name' THEN estimate.status_id IS NOT NULL
        END
)
SELECT name, count(DISTINCT attic_tech_estimate_id) FROM unshown GROUP BY GROUPING SETS ((name), ())

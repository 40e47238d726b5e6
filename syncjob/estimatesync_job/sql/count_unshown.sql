-- Of how many estimates each column is not shown; in the row without a column, of how many any is. A column that no
-- record shows counts where a value is stored that would be lost; a relation counts everywhere.
WITH newest AS (
    SELECT DISTINCT ON (attic_tech_estimate_id) attic_tech_estimate_id, unshown
    FROM staging
    ORDER BY attic_tech_estimate_id, arrival DESC
),
unshown AS (
    SELECT newest.attic_tech_estimate_id, unshown_columns.name
    FROM newest
    CROSS JOIN LATERAL unnest(newest.unshown) AS unshown_columns (name)
    UNION
    SELECT newest.attic_tech_estimate_id, hidden_columns.name
    FROM newest
    CROSS JOIN unnest(%(hidden)s::text[]) AS hidden_columns (name)
    -- Without a filter on the stored ones, which a planner that knows no temporary table would repeat for each of them.
    LEFT JOIN estimate ON estimate.attic_tech_estimate_id = newest.attic_tech_estimate_id
    WHERE
        hidden_columns.name = ANY(%(relations)s)
        OR (
            to_jsonb(estimate) || jsonb_build_object(
                'branch_name', branch_id, 'sales_person_name', sales_person_id, 'status_name', status_id
            )
        ) ->> hidden_columns.name IS NOT NULL
)
SELECT name, count(DISTINCT attic_tech_estimate_id) FROM unshown GROUP BY GROUPING SETS ((name), ())

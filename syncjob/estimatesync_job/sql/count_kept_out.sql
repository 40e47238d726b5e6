-- How many of the staged estimates and names are not in the tables after the merge, although nothing was refused.
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

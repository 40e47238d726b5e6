-- How many are staged, and those of which something is not shown.
SELECT
    count(*),
    coalesce(array_agg(attic_tech_estimate_id ORDER BY attic_tech_estimate_id) FILTER (WHERE unshown IS NOT NULL), '{}')
FROM staging

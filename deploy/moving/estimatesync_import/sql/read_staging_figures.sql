WITH repeated AS (
    SELECT
        attic_tech_estimate_id,
        count(*) AS times,
        array_agg(old_id ORDER BY at_updated_date DESC NULLS LAST, arrival DESC) AS old_ids
    FROM staging
    GROUP BY attic_tech_estimate_id
    HAVING count(*) > 1
)
SELECT
    (SELECT count(*) FROM staging),
    (SELECT count(*) FROM staging WHERE at_updated_date > statement_timestamp()),
    (SELECT count(*) FROM repeated),
    (SELECT coalesce(sum(times - 1), 0)::bigint FROM repeated),
    (
        SELECT coalesce(jsonb_agg(jsonb_build_array(attic_tech_estimate_id, shown.old_ids)), '[]'::jsonb)
        FROM (
            SELECT attic_tech_estimate_id, to_jsonb(old_ids[1:10]) AS old_ids FROM repeated
            ORDER BY attic_tech_estimate_id LIMIT %(limit)s
        ) AS shown
    )

-- What is stored as of the range: how much counts as living, what of it has not been read, and some of what has been.
-- Last, what was marked last of all that is stored, and has not been read.
SELECT
    (
        SELECT count(*) FROM estimate
        WHERE at_updated_date BETWEEN %(start)s AND %(end)s AND deleted_at IS NULL
    ),
    ARRAY(
        SELECT attic_tech_estimate_id FROM estimate
        WHERE
            at_updated_date BETWEEN %(start)s AND %(end)s
            AND deleted_at IS NULL
            -- As the merge asks once more.
            AND last_synced_at < transaction_timestamp() - %(overlap)s
            AND NOT EXISTS (
                SELECT FROM staging WHERE staging.attic_tech_estimate_id = estimate.attic_tech_estimate_id
            )
        ORDER BY attic_tech_estimate_id DESC
    ),
    ARRAY(
        SELECT max(attic_tech_estimate_id)
        FROM (
            SELECT attic_tech_estimate_id, ntile(%(witnesses)s - 1) OVER (ORDER BY attic_tech_estimate_id) AS part
            FROM staging
        ) AS parts
        GROUP BY part
        UNION
        SELECT min(attic_tech_estimate_id) FROM staging HAVING count(*) > 0
        ORDER BY 1 DESC
    ),
    ARRAY(
        SELECT attic_tech_estimate_id FROM estimate
        WHERE
            -- A server that lags may show for a while what is gone.
            deleted_at < transaction_timestamp() - %(overlap)s
            AND NOT EXISTS (
                SELECT FROM staging WHERE staging.attic_tech_estimate_id = estimate.attic_tech_estimate_id
            )
        ORDER BY deleted_at DESC, attic_tech_estimate_id DESC
        LIMIT %(max_marked)s
    )

INSERT INTO imported_estimate (old_table, old_id, estimate_id, imported_at)
SELECT %(old_table)s, staging.old_id, estimate.id, statement_timestamp()
FROM staging
JOIN estimate USING (attic_tech_estimate_id)
ON CONFLICT (old_table, old_id) DO UPDATE
SET estimate_id = EXCLUDED.estimate_id, imported_at = EXCLUDED.imported_at
WHERE imported_estimate.estimate_id <> EXCLUDED.estimate_id

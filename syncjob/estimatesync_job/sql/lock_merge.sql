-- One merge at a time per schema: two syncs over the same estimates neither deadlock nor count a row twice. From here on
-- nothing waits for Attic Tech, so that a statement without an end is an error.
SELECT
    pg_advisory_xact_lock(hashtextextended('estimatesync merge ' || current_schema(), 0)),
    set_config('statement_timeout', '600s', true)

-- One merge at a time per schema: two syncs over the same estimates neither deadlock nor count a row twice.
SELECT pg_advisory_xact_lock(hashtextextended('estimatesync merge ' || current_schema(), 0))

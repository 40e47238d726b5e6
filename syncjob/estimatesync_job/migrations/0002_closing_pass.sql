ALTER TABLE sync_run ADD COLUMN IF NOT EXISTS complete_as_of timestamptz;

COMMENT ON COLUMN sync_run.complete_as_of IS
    'by Attic Tech''s clock: of what was in the range up to then, nothing is missing; null where its answers had no date';

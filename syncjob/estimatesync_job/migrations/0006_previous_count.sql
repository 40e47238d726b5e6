ALTER TABLE sync_run ADD COLUMN IF NOT EXISTS previous_total_fetched bigint;

COMMENT ON COLUMN sync_run.previous_total_fetched IS
    'what the run before had fetched, of as many days that end within a week of these; null where there was none';

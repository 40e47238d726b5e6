ALTER TABLE sync_run
    ADD COLUMN IF NOT EXISTS skipped_estimates bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS skipped_ids text[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN sync_run.skipped_ids IS 'which estimates were broken in Attic Tech, the first few of them';

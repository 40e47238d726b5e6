ALTER TABLE sync_run
    ADD COLUMN IF NOT EXISTS unshown_estimates bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS unshown_fields text[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN sync_run.unshown_fields IS 'what Attic Tech did not show of so many estimates; it is kept as it was';

ALTER TABLE sync_run
    ADD COLUMN IF NOT EXISTS mode text NOT NULL DEFAULT 'Whole',
    ADD COLUMN IF NOT EXISTS whole_because text,
    ADD COLUMN IF NOT EXISTS base_uid text,
    ADD COLUMN IF NOT EXISTS whole_uid text,
    ADD COLUMN IF NOT EXISTS range_start timestamptz,
    ADD COLUMN IF NOT EXISTS range_end timestamptz,
    ADD COLUMN IF NOT EXISTS settings_digest bytea,
    ADD COLUMN IF NOT EXISTS highest_id bigint,
    ADD COLUMN IF NOT EXISTS ask_again bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS hidden_columns text[] NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS no_base_because text;

COMMENT ON COLUMN sync_run.mode IS 'Whole: all of its days were read; Changes: what had changed since the sync base_uid';
COMMENT ON COLUMN sync_run.whole_because IS 'why all of its days were read, although only changes were asked for';
COMMENT ON COLUMN sync_run.whole_uid IS 'the whole sync that it rests on, through others or itself';
COMMENT ON COLUMN sync_run.range_start IS 'its first instant; null in runs of earlier versions, on which none can rest';
COMMENT ON COLUMN sync_run.no_base_because IS 'why no later sync may rest on it';

-- Readers see it, too, where the view is the one that an earlier migration has made.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE attrelid = to_regclass('sync_runs') AND relkind = 'v' AND attname = 'deleted_estimates'
    ) THEN
        CREATE OR REPLACE VIEW sync_runs AS
        SELECT
            uid,
            sync_name,
            'Succeeded' AS outcome,
            NULL AS reason,
            unmarked_because AS message,
            start_date,
            end_date,
            committed_at AS ended_at,
            complete_as_of,
            total_fetched,
            new_estimates,
            updated_estimates,
            unchanged_estimates,
            skipped_estimates,
            unshown_estimates,
            total_processed,
            deleted_estimates,
            previous_total_fetched,
            mode
        FROM sync_run
        UNION ALL
        SELECT
            uid,
            sync_name,
            'Failed',
            reason,
            message,
            start_date,
            end_date,
            failed_at,
            NULL,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            NULL,
            NULL,
            NULL
        FROM failed_run;
    END IF;
END;
$$;

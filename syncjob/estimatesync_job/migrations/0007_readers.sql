ALTER TABLE estimate ADD COLUMN IF NOT EXISTS deleted_at timestamptz;

COMMENT ON COLUMN estimate.deleted_at IS 'when a sync found that it is no longer at Attic Tech; null while it is';

ALTER TABLE sync_run
    ADD COLUMN IF NOT EXISTS deleted_estimates bigint,
    ADD COLUMN IF NOT EXISTS unmarked_because text;

COMMENT ON COLUMN sync_run.deleted_estimates IS 'how many it has marked as deleted; null where it did not look for them';
COMMENT ON COLUMN sync_run.unmarked_because IS 'why it has marked none, although it looked for them';

CREATE INDEX IF NOT EXISTS sync_run_committed_at ON sync_run (committed_at);

-- Not among the runs that have stored something: whoever looks there for a uid, in whatever version, finds a commit.
CREATE TABLE IF NOT EXISTS failed_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid text NOT NULL,
    sync_name text NOT NULL,
    start_date date NOT NULL,
    end_date date NOT NULL,
    reason text NOT NULL,
    message text NOT NULL,
    failed_at timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS failed_run_failed_at ON failed_run (failed_at);

COMMENT ON TABLE failed_run IS 'runs that have stored nothing, as far as they could still say so; a sync may have several';

-- What readers may rely on. Another program's table may have one of these names: it stays, and there is no view.
DO $$
BEGIN
    IF to_regclass('estimates') IS NULL THEN
        CREATE VIEW estimates AS
        SELECT
            estimate.attic_tech_estimate_id,
            estimate.name,
            estimate_status.name AS status,
            branch.name AS branch,
            sales_person.name AS sales_person,
            estimate.customer_name,
            estimate.customer_email,
            estimate.customer_phone,
            estimate.customer_address,
            estimate.price,
            estimate.retail_cost,
            estimate.final_price,
            estimate.sub_service_retail_cost,
            estimate.discount,
            estimate.final_price_after_taxes,
            estimate.attic_tech_hours,
            estimate.crew_notes,
            estimate.payment_method,
            estimate.at_created_date,
            estimate.at_updated_date,
            estimate.first_synced_at,
            estimate.last_synced_at,
            estimate.deleted_at
        FROM estimate
        JOIN estimate_status ON estimate_status.id = estimate.status_id
        LEFT JOIN branch ON branch.id = estimate.branch_id
        LEFT JOIN sales_person ON sales_person.id = estimate.sales_person_id;
    END IF;
    IF to_regclass('sync_runs') IS NULL THEN
        CREATE VIEW sync_runs AS
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
            previous_total_fetched
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
            NULL
        FROM failed_run;
    END IF;
END;
$$;

-- Every version of every estimate, kept in Payload's own database by the database itself, so that no change is missed:
-- neither one whose answer was lost, nor one that Payload made without being asked. A deferred trigger fires just before
-- the commit: a version begins to be visible at `committed_at` or later, and at `seen_at` it was visible.
CREATE SCHEMA history;

CREATE TABLE history.version (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    estimate_id bigint NOT NULL,
    -- The row, or null once it is deleted.
    document jsonb,
    committed_at timestamptz NOT NULL,
    seen_at timestamptz
);

CREATE INDEX version_unseen ON history.version (number) WHERE seen_at IS NULL;

INSERT INTO history.version (estimate_id, document, committed_at)
SELECT id, to_jsonb(job_estimates), '0001-01-01T00:00:00Z' FROM job_estimates;

CREATE FUNCTION history.keep_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO history.version (estimate_id, document, committed_at)
    VALUES (
        CASE WHEN TG_OP = 'DELETE' THEN OLD.id ELSE NEW.id END,
        CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END,
        clock_timestamp()
    );
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER keep_version AFTER INSERT OR UPDATE OR DELETE ON job_estimates
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION history.keep_version();

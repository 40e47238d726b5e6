-- The syncs of one machine: what the Kubernetes API server is to a cluster.

CREATE SEQUENCE estimatesync_local.resource_version;

CREATE TABLE estimatesync_local.sync (
    name             text PRIMARY KEY,
    uid              uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    resource_version bigint NOT NULL DEFAULT nextval('estimatesync_local.resource_version'),
    generation       bigint NOT NULL DEFAULT 1,
    labels           jsonb NOT NULL DEFAULT '{}',
    annotations      jsonb NOT NULL DEFAULT '{}',
    spec             jsonb NOT NULL,
    status           jsonb NOT NULL DEFAULT '{}',
    phase            text GENERATED ALWAYS AS (status ->> 'phase') STORED,
    created_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT name_fits_a_label CHECK (name ~ '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$' AND length(name) <= 63)
);

CREATE INDEX sync_phase ON estimatesync_local.sync (phase);

-- Every change of a row, with whatever tool, makes a new version of it: writers compare versions before they write.
CREATE FUNCTION estimatesync_local.bump_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.resource_version := nextval('estimatesync_local.resource_version');
    IF new.spec IS DISTINCT FROM old.spec THEN
        new.generation := old.generation + 1;
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER bump_version BEFORE UPDATE ON estimatesync_local.sync
    FOR EACH ROW EXECUTE FUNCTION estimatesync_local.bump_version();

-- The reconciler listens. It writes the status itself, so it needs no notification of that.
CREATE FUNCTION estimatesync_local.tell_reconciler() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('estimatesync_local', coalesce(new.name, old.name));
    RETURN NULL;
END
$$;

CREATE TRIGGER tell_reconciler AFTER INSERT OR DELETE OR UPDATE OF spec ON estimatesync_local.sync
    FOR EACH ROW EXECUTE FUNCTION estimatesync_local.tell_reconciler();

-- Which syncs were deleted: only their jobs are deleted from disk. A sync that is not known at all may be that of another
-- database, which the server used before and will use again.

CREATE TABLE estimatesync_local.deleted_sync (
    uid        uuid PRIMARY KEY,
    deleted_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION estimatesync_local.remember_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM estimatesync_local.deleted_sync WHERE deleted_at < now() - interval '90 days';
    INSERT INTO estimatesync_local.deleted_sync (uid) VALUES (old.uid) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER remember_deletion AFTER DELETE ON estimatesync_local.sync
    FOR EACH ROW EXECUTE FUNCTION estimatesync_local.remember_deletion();

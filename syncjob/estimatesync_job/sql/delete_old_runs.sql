-- A year and a month are kept. What a sync may go by of the runs before it is at most some days old. A user who may not
-- delete keeps them all, and so does a table of somebody else's that refers to them, or a trigger: no sync fails by it.
DO $$
DECLARE
    is_less boolean := false;
BEGIN
    IF has_table_privilege('sync_run', 'DELETE') THEN
        DELETE FROM sync_run WHERE committed_at < statement_timestamp() - interval '400 days';
        is_less := FOUND;
    END IF;
    IF has_table_privilege('failed_run', 'DELETE') THEN
        DELETE FROM failed_run WHERE failed_at < statement_timestamp() - interval '400 days';
        is_less := is_less OR FOUND;
    END IF;
    IF is_less THEN
        -- What a deferred constraint would say at the commit, it must say where it can be borne.
        SET CONSTRAINTS ALL IMMEDIATE;
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING USING MESSAGE = 'Runs of more than 400 days ago are kept, for they cannot be removed: ' || SQLERRM;
END;
$$

-- A year and a month are kept. What a sync may go by of the runs before it is at most some days old. A user who may not
-- delete keeps them all.
DO $$
BEGIN
    IF has_table_privilege('sync_run', 'DELETE') THEN
        DELETE FROM sync_run WHERE committed_at < statement_timestamp() - interval '400 days';
    END IF;
    IF has_table_privilege('failed_run', 'DELETE') THEN
        DELETE FROM failed_run WHERE failed_at < statement_timestamp() - interval '400 days';
    END IF;
END;
$$

-- Another pod of the same sync may have committed meanwhile: the sync has not failed then.
INSERT INTO failed_run (uid, sync_name, start_date, end_date, reason, message, failed_at)
SELECT
    %(sync_uid)s, %(sync_name)s, %(start_date)s, %(end_date)s, %(reason)s, %(message)s, statement_timestamp()
WHERE NOT EXISTS (SELECT FROM sync_run WHERE uid = %(sync_uid)s)

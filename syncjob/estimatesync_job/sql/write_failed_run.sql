INSERT INTO failed_run (uid, sync_name, start_date, end_date, reason, message, failed_at)
VALUES (
    %(sync_uid)s, %(sync_name)s, %(start_date)s, %(end_date)s, %(reason)s, %(message)s, statement_timestamp()
)

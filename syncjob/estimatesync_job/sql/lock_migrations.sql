SELECT pg_advisory_xact_lock(hashtextextended('estimatesync migrate ' || %(schema)s, 0))

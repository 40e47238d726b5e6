-- Any number will do, as long as it stays and no other program uses it in the same database.
SELECT pg_advisory_xact_lock(7340190455121)

-- Tables that have the names of ours, in a schema that this program has never set up.
SELECT class.relname
FROM pg_class AS class
JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE
    namespace.nspname = %(schema)s
    AND class.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND class.relname IN ('estimate', 'branch', 'sales_person', 'estimate_status', 'sync_run')
    AND to_regclass('sync_schema_version') IS NULL
ORDER BY class.relname

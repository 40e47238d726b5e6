SELECT to_regclass('sync_schema_version') IS NOT NULL

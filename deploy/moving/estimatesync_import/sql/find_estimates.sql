SELECT to_regclass('sync_schema_version') IS NOT NULL AND to_regclass('estimate') IS NOT NULL

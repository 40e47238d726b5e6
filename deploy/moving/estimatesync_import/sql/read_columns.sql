-- pg_catalog, not information_schema: that one hides what this user may not touch, and so what an administrator must grant.
SELECT
    namespace.nspname,
    class.relname,
    has_schema_privilege(namespace.oid, 'USAGE') AND has_table_privilege(class.oid, 'SELECT'),
    EXISTS (
        SELECT FROM pg_class AS version
        WHERE version.relnamespace = namespace.oid AND version.relname = 'sync_schema_version'
    ),
    (
        SELECT key_column.attname
        FROM pg_index
        JOIN pg_attribute AS key_column
            ON key_column.attrelid = class.oid AND key_column.attnum = pg_index.indkey[0]
        WHERE pg_index.indrelid = class.oid AND pg_index.indisprimary AND pg_index.indnkeyatts = 1
    ),
    attribute.attname,
    format_type(attribute.atttypid, attribute.atttypmod),
    type.typcategory::text,
    CASE
        WHEN attribute.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND attribute.atttypmod > 4
            THEN attribute.atttypmod - 4
    END,
    CASE
        WHEN attribute.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 0
        WHEN attribute.atttypid = 'numeric'::regtype AND attribute.atttypmod > 4
            THEN (attribute.atttypmod - 4) & 2047
    END
FROM pg_class AS class
JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
JOIN pg_type AS type ON type.oid = attribute.atttypid
WHERE
    class.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND attribute.attnum > 0
    AND NOT attribute.attisdropped
    AND namespace.nspname NOT LIKE 'pg\_%'
    AND namespace.nspname <> 'information_schema'
ORDER BY namespace.nspname, class.relname, attribute.attnum

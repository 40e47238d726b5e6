SELECT
    con.conname,
    from_namespace.nspname,
    from_class.relname,
    from_column.attname,
    to_namespace.nspname,
    to_class.relname,
    to_column.attname,
    con.confdeltype::text,
    con.confupdtype::text
FROM pg_constraint AS con
JOIN pg_class AS from_class ON from_class.oid = con.conrelid
JOIN pg_namespace AS from_namespace ON from_namespace.oid = from_class.relnamespace
JOIN pg_attribute AS from_column ON from_column.attrelid = con.conrelid AND from_column.attnum = con.conkey[1]
JOIN pg_class AS to_class ON to_class.oid = con.confrelid
JOIN pg_namespace AS to_namespace ON to_namespace.oid = to_class.relnamespace
JOIN pg_attribute AS to_column ON to_column.attrelid = con.confrelid AND to_column.attnum = con.confkey[1]
WHERE con.contype = 'f' AND con.conparentid = 0 AND cardinality(con.conkey) = 1
ORDER BY from_namespace.nspname, from_class.relname, con.conname

-- A role for EstimateSync with only the rights that it needs: it owns one schema in one database, and nothing else.
-- psql "$ADMIN_URL" --set=database=estimates --set=role=estimatesync [--set=schema=botzilla] --file=role.sql
-- With --set=reader=reports, a second role that reads the views for reports, and nothing else: run it again for that
-- after the first sync, which creates them.
-- Can be run again. The role cannot log in with a password until it is given one: \password estimatesync
\set ON_ERROR_STOP on
\if :{?schema}
\else
  \set schema botzilla
\endif
\if :{?reader}
\else
  \set reader ''
\endif

SELECT format('DO %L', format('BEGIN RAISE EXCEPTION USING MESSAGE = %L; END', format(
    '%I writes the tables, so it cannot be the role that only reads: choose another one (--set=reader=…)', :'role')))
WHERE :'reader' = :'role' \gexec
-- What a role is that others use already is for them to decide, and it would not only read.
SELECT format('DO %L', format('BEGIN RAISE EXCEPTION USING MESSAGE = %L; END', format(
    '%I may do more than read (%s), so it cannot be the role that only reads: choose another one (--set=reader=…)',
    reader.rolname, may.what)))
FROM pg_catalog.pg_roles AS reader, LATERAL (VALUES
    (reader.rolsuper, 'SUPERUSER'), (reader.rolcreatedb, 'CREATEDB'), (reader.rolcreaterole, 'CREATEROLE'),
    (reader.rolreplication, 'REPLICATION'), (reader.rolbypassrls, 'BYPASSRLS'),
    (EXISTS (
        SELECT FROM pg_catalog.pg_roles AS writer
        WHERE writer.rolname = :'role' AND pg_catalog.pg_has_role(reader.oid, writer.oid, 'MEMBER')
    ), format('a member of %I', :'role'))) AS may (is_so, what)
WHERE reader.rolname = :'reader' AND may.is_so LIMIT 1 \gexec
SELECT format('CREATE ROLE %I LOGIN', wanted.name)
FROM (VALUES (:'role'), (:'reader')) AS wanted (name)
WHERE wanted.name <> '' AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted.name) \gexec
-- Change only what is wrong: even NOSUPERUSER takes a superuser, which a managed database's administrator is not.
SELECT format('ALTER ROLE %I %s', rolname, wrong.cure)
FROM pg_catalog.pg_roles, LATERAL (VALUES
    (NOT rolcanlogin, 'LOGIN'), (rolsuper, 'NOSUPERUSER'), (rolcreatedb, 'NOCREATEDB'), (rolcreaterole, 'NOCREATEROLE'),
    (rolreplication, 'NOREPLICATION'), (rolbypassrls, 'NOBYPASSRLS')) AS wrong (is_so, cure)
WHERE rolname IN (:'role', :'reader') AND wrong.is_so \gexec

SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = :'database') AS is_new \gset
\if :is_new
  CREATE DATABASE :"database";
  -- By default everyone may connect to a database and create temporary tables in it; here only the role may.
  REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
\else
  \echo The database is there already: what others may do in it stays as it is.
\endif
GRANT CONNECT, TEMPORARY ON DATABASE :"database" TO :"role";

\connect :"database"
\if :is_new
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;
\endif
SELECT format('DO %L', format('BEGIN RAISE EXCEPTION USING MESSAGE = %L; END', format(
    'the schema %I belongs to %I, and the sync could not use it: give it and its tables to %I, or choose another one (--set=schema=…)',
    nspname, pg_catalog.pg_get_userbyid(nspowner), :'role')))
FROM pg_catalog.pg_namespace WHERE nspname = :'schema' AND pg_catalog.pg_get_userbyid(nspowner) <> :'role' \gexec
-- Creating a schema for another role takes the right to act as it: a managed database's administrator is not a superuser.
SELECT format('GRANT %I TO CURRENT_USER', :'role')
WHERE NOT pg_catalog.pg_has_role(CURRENT_USER, :'role', 'USAGE') \gexec
CREATE SCHEMA IF NOT EXISTS :"schema" AUTHORIZATION :"role";

SELECT format('GRANT CONNECT ON DATABASE %I TO %I', :'database', :'reader') WHERE :'reader' <> '' \gexec
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', :'schema', :'reader') WHERE :'reader' <> '' \gexec
SELECT format('GRANT SELECT ON %I.%I TO %I', nspname, relname, :'reader')
FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE :'reader' <> '' AND nspname = :'schema' AND relname IN ('estimates', 'sync_runs') AND relkind = 'v'
    AND pg_catalog.pg_get_userbyid(relowner) = :'role' \gexec
SELECT :'reader' <> '' AND count(*) < 2 AS is_early
FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = :'schema' AND relname IN ('estimates', 'sync_runs') AND relkind = 'v'
    AND pg_catalog.pg_get_userbyid(relowner) = :'role' \gset
\if :is_early
  \warn The first sync creates what the reader may read: run this again after it.
\endif

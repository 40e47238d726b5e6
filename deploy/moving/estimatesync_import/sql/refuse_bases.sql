-- A sync of changes reads no row again for the sake of this import, so it must not rest on what was stored before.
UPDATE sync_run SET no_base_because = 'an import has written rows since'
WHERE no_base_because IS NULL AND committed_at > transaction_timestamp() - interval '14 days'

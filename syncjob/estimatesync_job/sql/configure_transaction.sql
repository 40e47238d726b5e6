-- For this transaction only, so that a pooled connection is handed on as it came. A pool's or a role's limit on idle
-- transactions must not end a sync that waits for Attic Tech; a lock is waited for, but not for ever.
SELECT
    set_config('search_path', %(search_path)s, true),
    set_config('idle_in_transaction_session_timeout', '0', true),
    set_config('lock_timeout', '60s', true),
    set_config('statement_timeout', '600s', true),
    set_config('timezone', 'UTC', true)

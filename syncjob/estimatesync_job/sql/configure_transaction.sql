-- For this transaction only, so that a pooled connection is handed on as it came. A pool's or a role's limit on idle
-- transactions must not end a sync that waits for Attic Tech, nor its limit on statements a COPY that takes the rows of
-- all pages; a lock is waited for, but not forever. The merge sorts and hashes some megabytes, which need not go to
-- disk, and must not sort all estimates to find their few names, as a planner would that knows no temporary table.
SELECT
    set_config('search_path', %(search_path)s, true),
    set_config('idle_in_transaction_session_timeout', '0', true),
    set_config('lock_timeout', '60s', true),
    set_config('statement_timeout', '0', true),
    set_config('work_mem', '32MB', true),
    set_config('enable_mergejoin', 'off', true),
    set_config('timezone', 'UTC', true)

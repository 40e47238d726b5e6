SELECT
    set_config('timezone', 'UTC', true),
    set_config('datestyle', 'ISO', true),
    set_config('statement_timeout', '0', true),
    set_config('idle_in_transaction_session_timeout', '0', true)

CREATE TABLE IF NOT EXISTS estimatesync_local.migration (
    number     integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)

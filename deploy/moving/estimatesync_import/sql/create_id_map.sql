CREATE TABLE IF NOT EXISTS imported_estimate (
    old_table text NOT NULL,
    old_id text NOT NULL,
    estimate_id bigint NOT NULL REFERENCES estimate ON DELETE CASCADE,
    imported_at timestamptz NOT NULL,
    PRIMARY KEY (old_table, old_id)
);

COMMENT ON TABLE imported_estimate IS 'which row of an imported table became which estimate'

CREATE TABLE IF NOT EXISTS refused_login (
    is_newest boolean PRIMARY KEY DEFAULT true CHECK (is_newest),
    salt bytea NOT NULL,
    digest bytea NOT NULL,
    refused_at timestamptz NOT NULL,
    said text NOT NULL
);

COMMENT ON TABLE refused_login IS
    'the credentials that Attic Tech refused last, as a digest: they are not tried again until they have changed';

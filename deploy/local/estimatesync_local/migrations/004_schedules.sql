-- Up to which time each schedule has been kept.

CREATE TABLE estimatesync_local.schedule (
    name          text PRIMARY KEY,
    handled_until timestamptz NOT NULL
);

-- Estimates whose last version is broken: an older one of them must not be stored as if it were the newest.
DELETE FROM staging WHERE attic_tech_estimate_id = ANY(%(broken)s)

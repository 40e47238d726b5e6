SELECT count(DISTINCT attic_tech_estimate_id), coalesce(bool_or(unshown IS NOT NULL), false) FROM staging

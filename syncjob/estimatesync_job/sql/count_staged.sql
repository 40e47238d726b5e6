SELECT count(*), coalesce(bool_or(unshown IS NOT NULL), false) FROM staging

SELECT to_regclass('imported_estimate') IS NOT NULL

SELECT to_regclass('estimatesync_local.migration') IS NOT NULL

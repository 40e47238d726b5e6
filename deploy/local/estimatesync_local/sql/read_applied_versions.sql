SELECT number FROM estimatesync_local.migration

INSERT INTO estimatesync_local.migration (number) VALUES (%(version)s)

INSERT INTO sync_schema_version (version, name) VALUES (%(version)s, %(name)s)

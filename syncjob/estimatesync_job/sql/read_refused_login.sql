-- A sync that has succeeded since is newer word than a refusal.
SELECT salt, digest, refused_at, said FROM refused_login
WHERE refused_at > coalesce((SELECT max(committed_at) FROM sync_run), '-infinity')

INSERT INTO refused_login (salt, digest, refused_at, said)
VALUES (%(salt)s, %(digest)s, %(refused_at)s, %(said)s)
ON CONFLICT (is_newest) DO UPDATE
SET (salt, digest, refused_at, said) = (EXCLUDED.salt, EXCLUDED.digest, EXCLUDED.refused_at, EXCLUDED.said)

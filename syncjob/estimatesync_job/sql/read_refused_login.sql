SELECT salt, digest, refused_at, said FROM refused_login

SELECT state, count(*) FROM comparison GROUP BY state

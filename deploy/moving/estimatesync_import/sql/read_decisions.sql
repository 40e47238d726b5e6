SELECT action, count(*) FROM decision GROUP BY action

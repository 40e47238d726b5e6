SELECT setval(pg_get_serial_sequence('estimate', 'id'), max(id)) FROM estimate HAVING max(id) >= 1

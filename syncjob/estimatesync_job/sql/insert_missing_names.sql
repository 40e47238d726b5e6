-- A statement of its own: what it inserts, and what others have inserted meanwhile, is visible to the merge. Names are
-- few and estimates many, so the names are made distinct before they are looked up.
WITH names AS MATERIALIZED (SELECT DISTINCT branch_name AS name FROM staging WHERE branch_name IS NOT NULL)
INSERT INTO branch (name)
SELECT name FROM names WHERE NOT EXISTS (SELECT FROM branch WHERE branch.name = names.name)
ON CONFLICT DO NOTHING;

WITH names AS MATERIALIZED (SELECT DISTINCT sales_person_name AS name FROM staging WHERE sales_person_name IS NOT NULL)
INSERT INTO sales_person (name)
SELECT name FROM names WHERE NOT EXISTS (SELECT FROM sales_person WHERE sales_person.name = names.name)
ON CONFLICT DO NOTHING;

WITH names AS MATERIALIZED (SELECT DISTINCT status_name AS name FROM staging)
INSERT INTO estimate_status (name)
SELECT name FROM names WHERE NOT EXISTS (SELECT FROM estimate_status WHERE estimate_status.name = names.name)
ON CONFLICT DO NOTHING;

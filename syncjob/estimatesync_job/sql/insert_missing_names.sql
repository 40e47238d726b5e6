-- A statement of its own: what it inserts, and what others have inserted meanwhile, is visible to the merge.
ANALYZE staging;

INSERT INTO branch (name)
SELECT DISTINCT branch_name FROM staging
WHERE branch_name IS NOT NULL AND NOT EXISTS (SELECT FROM branch WHERE name = branch_name)
ON CONFLICT DO NOTHING;

INSERT INTO sales_person (name)
SELECT DISTINCT sales_person_name FROM staging
WHERE sales_person_name IS NOT NULL AND NOT EXISTS (SELECT FROM sales_person WHERE name = sales_person_name)
ON CONFLICT DO NOTHING;

INSERT INTO estimate_status (name)
SELECT DISTINCT status_name FROM staging
WHERE NOT EXISTS (SELECT FROM estimate_status WHERE name = status_name)
ON CONFLICT DO NOTHING;

-- Of an estimate that came more than once, the last one to arrive counts: a closing pass is stored after all pages,
-- and stamps are by the clocks of several servers. From here on each estimate is staged once.
DELETE FROM staging
USING (
    SELECT attic_tech_estimate_id, max(arrival) AS newest
    FROM staging
    GROUP BY attic_tech_estimate_id
    HAVING count(*) > 1
) AS repeated
WHERE staging.attic_tech_estimate_id = repeated.attic_tech_estimate_id AND staging.arrival < repeated.newest

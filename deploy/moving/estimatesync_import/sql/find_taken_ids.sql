-- The new estimates whose old id is not a number, or belongs to another estimate of ours already.
SELECT count(*) FROM decision
WHERE
    action = 'new'
    AND (
        old_id !~ '^[0-9]{1,18}$'
        OR EXISTS (SELECT FROM estimate WHERE estimate.id::text = decision.old_id)
    )

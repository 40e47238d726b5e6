ALTER TABLE sync_run
    ADD COLUMN IF NOT EXISTS witnesses bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS was_alone boolean;

COMMENT ON COLUMN sync_run.witnesses IS
    'some of the estimates that the whole sync has read: one of changes believes only what shows them, too';
COMMENT ON COLUMN sync_run.was_alone IS
    'whether no other sync has stored anything while it was at work; null in runs of earlier versions';

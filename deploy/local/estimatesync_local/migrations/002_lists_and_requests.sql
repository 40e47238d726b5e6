-- What the API does with existing syncs: list them newest first, cancel them, have a callback sent again.

CREATE INDEX sync_newest ON estimatesync_local.sync (created_at DESC, name DESC);

-- A request for another delivery is an annotation, so the reconciler needs notifications of those as well.
DROP TRIGGER tell_reconciler ON estimatesync_local.sync;
CREATE TRIGGER tell_reconciler AFTER INSERT OR DELETE OR UPDATE OF spec, annotations ON estimatesync_local.sync
    FOR EACH ROW EXECUTE FUNCTION estimatesync_local.tell_reconciler();

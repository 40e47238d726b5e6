"""How many pods a sync has had: those that the cluster takes off a node are in no count of the Job's own.

Called for each status of a running sync.
"""

from estimatesync_contract.estimate_sync import EstimateSync

from estimatesync_operator.observation import JobObservation


def count_runs(sync: EstimateSync, observation: JobObservation, known_pod: str | None) -> int:
    """Count the pods that were begun, as far as they were seen: there is one at a time, so another one is one more."""
    before = sync.status.pod_name or known_pod
    is_another = before is not None and observation.pod_name not in {None, before}
    return max(sync.status.runs or 0, 1) + is_another

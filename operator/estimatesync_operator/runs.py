"""The pods of a running sync: how many there were, and how the newest is doing.

Those that the cluster takes off a node are in no count of the Job's own.

Called for each status of a running sync.
"""

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import Progress

from estimatesync_operator.observation import JobObservation, JobState


def count_runs(sync: EstimateSync, observation: JobObservation, known_pod: str | None) -> int:
    """Count the pods that were begun, as far as they were seen: there is one at a time, so another one is one more."""
    before = sync.status.pod_name or known_pod
    is_another = before is not None and observation.pod_name not in {None, before}
    return max(sync.status.runs or 0, 1) + is_another


def format_created(sync: EstimateSync) -> str:
    """What is known when the job has just been created."""
    return f"Created job {sync.status.job_name}; waiting for its pod"


def format_run(sync: EstimateSync, observation: JobObservation, progress: Progress | None) -> str:
    """A job without a run is described as when it was created, so that nothing has to be written about it."""
    again = f" (run {observation.failed_runs + 1})" if observation.failed_runs else ""
    if progress is None and observation.state is JobState.PENDING:
        return f"Waiting for a pod{again}" if again else format_created(sync)
    if progress is None:
        return f"Connecting{again}"
    return f"Page {progress.text}, {progress.fetched} estimates so far{again}"

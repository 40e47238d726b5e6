"""Decides whether a callback can be sent again. Pure."""

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState

from estimatesync_api.problems import ApiError, Problem


def require_redeliverable(sync: EstimateSync) -> None:
    """Make sure that there is a callback to send.

    Raises:
        ApiError: The sync has not ended, or nobody is to be told of its end.
    """
    if not sync.is_finished:
        raise ApiError(Problem.NOT_FINISHED)
    callback = sync.status.callback
    if not sync.spec.callback.enabled or callback is None or callback.state is CallbackState.DISABLED:
        raise ApiError(Problem.NO_CALLBACK)

"""The result file: what Kubernetes takes as the container's termination message."""

from pathlib import Path

from estimatesync_contract.result import SyncResult, build_result_bytes


def write_result(path: Path, result: SyncResult) -> None:
    """Replace the file's content. It is written in place: the kubelet mounts it, so no other may take its place.

    Raises:
        OSError: The file cannot be written.
    """
    path.write_bytes(build_result_bytes(result))

"""Where a pod's files are on the node, and reading back what its containers wrote there. Removed with the pod."""

import shutil
from dataclasses import dataclass
from pathlib import Path

MESSAGE_VARIABLE = "TERMINATION_MESSAGE_PATH"
MOST_MESSAGE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class PodFiles:
    """The directory of one pod."""

    root: Path

    def log(self, container: str, restarts: int) -> Path:
        """Standard output and error of one run of a container, as stored lines."""
        return self.root / container / f"{restarts}.log"

    def message(self, container: str, restarts: int) -> Path:
        """Stands for /dev/termination-log, which only a container with its own filesystem can have."""
        return self.root / container / f"termination-message-{restarts}"

    def kubeconfig(self) -> Path:
        """The identity of the pod's service account."""
        return self.root / "kubeconfig"

    def volume(self, kind: str, name: str) -> Path:
        """The keys of a mounted Secret or ConfigMap, a file each."""
        return self.root / "volumes" / kind / name

    def home(self, container: str) -> Path:
        """HOME, TMPDIR and working directory of a container that names none."""
        return self.root / container / "home"


def create_container_files(files: PodFiles, container: str) -> None:
    """Make the directories of a container."""
    files.home(container).mkdir(mode=0o700, parents=True, exist_ok=True)


def read_message(path: Path) -> str:
    """Read a termination message, its last 4,096 bytes at most, as the kubelet does; empty when there is none."""
    try:
        return path.read_bytes()[-MOST_MESSAGE_BYTES:].decode(errors="replace")
    except OSError:
        return ""


def remove_files(files: PodFiles) -> None:
    """Remove everything that the pod left."""
    shutil.rmtree(files.root, ignore_errors=True)

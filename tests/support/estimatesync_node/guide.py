"""What a person is told at the end of `make node`: the next commands, ready to be pasted."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from estimatesync_contract.names import START_PATH

from estimatesync_node.release import NAMESPACE


@dataclass(frozen=True, kw_only=True)
class Guide:
    """What the commands need to know. `api_key` and `deliveries` are files of the sample, if there is one."""

    kubeconfig: Path
    kubectl: Path
    api_url: str
    api_key: Path | None = None
    deliveries: Path | None = None


def build_guide(guide: Guide) -> str:
    """Build the text."""
    key = f"$(cat {shlex.quote(str(guide.api_key))})" if guide.api_key else "one of your apiKeys"
    commands = [
        f"export KUBECONFIG={shlex.quote(str(guide.kubeconfig))}",
        f'curl -X POST {guide.api_url}{START_PATH} -H "X-API-KEY: {key}"',
        f"{shlex.quote(str(guide.kubectl))} get estimatesyncs --namespace {NAMESPACE} --watch",
        *([f"cat {shlex.quote(str(guide.deliveries))}     # what Make.com is told"] if guide.deliveries else []),
        "make cluster-down",
    ]
    kind = "on sample data" if guide.api_key else "with your values"
    return "\n".join([f"The chart runs on the node, {kind}; the API answers at {guide.api_url}. Next:", ""]) + "".join(
        f"\n  {command}" for command in commands
    )

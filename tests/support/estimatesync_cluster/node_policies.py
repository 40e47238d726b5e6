"""Has NetworkPolicies enforced on the real node, whose bridge keeps nobody out: kube-router's firewall. Linux and root.

Called by control_plane.py once the node is there. The chains and sets are in the node's network namespace, and go with
it.
"""

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from estimatesync_cluster.go_tools import KUBE_ROUTER, find_go_tool
from estimatesync_cluster.leashed import LeashedProcess, leashed
from estimatesync_cluster.node_configuration import INSIDE, SERVICE_RANGE, NodeLayout
from estimatesync_cluster.real_node import RealNode, build_layout
from estimatesync_cluster.terminal import report

LAST_CHAIN: Final = "KUBE-NWPLCY-TAIL"
"""What kube-router makes last, before it looks at the first policy."""


def start_policies(stack: ExitStack, node: RealNode, *, root: Path, logs: Path) -> LeashedProcess:
    """Start it for a node that is registered, which it does not wait for; it ends when the stack is closed."""
    program = find_go_tool(KUBE_ROUTER, environ=os.environ, report=report)
    command = [*INSIDE, *build_policies_command(build_layout(root), program, node=node.name)]
    # Where iptables and ipset are.
    environment = {**os.environ, "PATH": os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])}
    return stack.enter_context(
        leashed(KUBE_ROUTER.name, command, log=logs / "kube-router.log", environment=environment)
    )


def build_policies_command(layout: NodeLayout, program: Path, *, node: str) -> list[str]:
    """Build kube-router's command line: its firewall only, as kube-proxy and the bridge do the rest."""
    return [
        str(program),
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        "--enable-cni=false",
        f"--kubeconfig={layout.kubeconfig}",
        f"--hostname-override={node}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--health-port=0",
    ]


def are_policies_enforced() -> bool:
    """Tell whether it has taken its place among the node's packet filters."""
    command = [*INSIDE, "iptables", "--wait", "--list-rules", LAST_CHAIN]
    return not subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603 - of this package

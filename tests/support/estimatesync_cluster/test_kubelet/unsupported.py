"""Decides which pods the test kubelet refuses, rather than run them as something else than they ask for."""

from estimatesync_cluster.test_kubelet.manifests import Pod

# An emptyDir has no place but TMPDIR, and instead of the token volume there is a KUBECONFIG: programs that need either
# find out by themselves.
HARMLESS_VOLUMES = frozenset({"configMap", "emptyDir", "projected", "secret"})
REASON = "UnsupportedByTestKubelet"


def decide_unsupported(pod: Pod) -> str | None:
    """Decide whether the pod needs what local processes cannot have: None, or a sentence that says what."""
    if pod.spec.init_containers:
        return "The test kubelet runs no init containers."
    for volume in pod.spec.volumes:
        kinds = volume.keys() - {"name"} - HARMLESS_VOLUMES
        if kinds:
            found = f"volume {volume['name']} is a {', '.join(sorted(kinds))}"
            return f"The test kubelet mounts Secrets and ConfigMaps only: {found}."
    return None

"""CustomResourceDefinitions of others: of those for which the chart has objects, or the documentation shows some.

They lie in the Go modules that tests/support/go/definitions pins, and `go` checks each against its go.sum. Nothing is
compiled. For tests that send those objects to an API server which knows every field of them.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from estimatesync_cluster.errors import BuildError
from estimatesync_cluster.go_build import Report, find_go, parse_go_version, parse_required_version
from estimatesync_cluster.programs import GO_MODULES, compute_cache_root

_PINNED = GO_MODULES / "definitions"
_GATEWAY = "sigs.k8s.io/gateway-api"
_PROMETHEUS = "github.com/prometheus-operator/prometheus-operator"
_SECRETS = "github.com/external-secrets/external-secrets"
_TRUST = "github.com/cert-manager/trust-manager"
DEFINITIONS = {
    "httproutes.gateway.networking.k8s.io": (
        _GATEWAY,
        "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
    ),
    "servicemonitors.monitoring.coreos.com": (
        _PROMETHEUS,
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
    "prometheusrules.monitoring.coreos.com": (
        _PROMETHEUS,
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
    "externalsecrets.external-secrets.io": (_SECRETS, "config/crds/bases/external-secrets.io_externalsecrets.yaml"),
    "bundles.trust.cert-manager.io": (_TRUST, "deploy/crds/trust.cert-manager.io_bundles.yaml"),
}


def find_definitions(*, environ: Mapping[str, str], report: Report) -> dict[str, Path]:
    """Find the file of each definition, by its name; the modules are downloaded unless Go's cache has them.

    Raises:
        ToolMissingError: this machine has no Go and cannot get it.
        BuildError: a module is not available, or is not the pinned one.
    """
    go_mod = (_PINNED / "go.mod").read_text()
    go = find_go(needed=parse_go_version(go_mod), cache=compute_cache_root(environ), report=report)
    modules = {module for module, _ in DEFINITIONS.values()}
    places = _download(go, sorted(f"{module}@{parse_required_version(go_mod, module)}" for module in modules))
    return {name: places[module] / path for name, (module, path) in DEFINITIONS.items()}


def _download(go: Path, modules: Iterable[str]) -> dict[str, Path]:
    answer = subprocess.run(  # noqa: S603  the modules are constants of this package
        [go, "mod", "download", "-json", *modules],
        cwd=_PINNED,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise BuildError(f"the definitions are not available: {answer.stdout.strip()} {answer.stderr.strip()}")
    # One JSON object after the other, not a list.
    found = json.loads("[" + answer.stdout.strip().replace("}\n{", "},{") + "]")
    return {each["Path"]: Path(each["Dir"]) for each in found}

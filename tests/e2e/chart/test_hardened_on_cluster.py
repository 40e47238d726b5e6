"""The hardened profile as docs/install.md has it: Secrets made beforehand, everything closed, and a sync runs."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from estimatesync_cluster.api_access import ApiAccess
from estimatesync_cluster.errors import CommandError

VERSION = version("estimatesync")

PROFILE = Path(__file__).parents[3] / "charts" / "estimatesync" / "values-hardened.yaml"
OTHER_WEBHOOK = "other-webhook"
WAIT = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit()); signal.pause()"
SIDECAR = {
    "name": "proxy",
    "image": f"estimatesync-sync:{VERSION}",
    "imagePullPolicy": "IfNotPresent",
    "restartPolicy": "Always",
    "command": ["python", "-c", WAIT],
    "env": [{"name": "PORT", "value": "5432"}],
}
BESIDE = {
    "extraEnv": [{"name": "TAKEN", "valueFrom": {"secretKeyRef": {"name": "certificate", "key": "key"}}}],
    "extraVolumes": [{"name": "certificate", "secret": {"secretName": "certificate"}}],
}
"""What a release may add to its sync pods: the policy allows it, and nothing like it."""


def create_secret(release: Any, name: str, **values: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
    release.create(secret)


@pytest.fixture(scope="module")
def store(shared_release: Any) -> dict[str, str]:
    """What the store of the page's ExternalSecrets holds, by property; nothing secret stays among the values."""
    keys, credentials, callback = (shared_release.values.pop(name) for name in ("apiKeys", "credentials", "callback"))
    return {
        "api-key-make": keys["keys"]["make"],
        "api-key-people": "made-up-key-of-people-012345",
        "attic-tech-email": credentials["email"],
        "attic-tech-password": credentials["password"],
        "database-url": credentials["databaseUrl"],
        "make-webhook": callback["url"],
        "signing-secret": "whsec_bWFkZS11cC1rZXktb2YtMzItYnl0ZXMtaGVyZSEhISE=",
    }


def create_external_secrets(release: Any, shown_objects: list[dict[str, Any]], store: dict[str, str]) -> None:
    """Play External Secrets: make the Secrets that the page's objects ask for."""
    for each in shown_objects:
        if each["kind"] == "ExternalSecret":
            data = {entry["secretKey"]: store[entry["remoteRef"]["property"]] for entry in each["spec"]["data"]}
            template = each["spec"].get("target", {}).get("template", {}).get("data")
            filled = {key: fill(text, data) for key, text in template.items()} if template else data
            create_secret(release, each["metadata"]["name"], **filled)


def fill(text: str, data: dict[str, str]) -> str:
    return re.sub(r"{{ \.(\w+) }}", lambda found: data[found[1]], text)


@pytest.fixture(scope="module")
def prepared(
    shared_release: Any, callers: list[str], shown_objects: list[dict[str, Any]], store: dict[str, str]
) -> Any:
    """What is there before a release of the profile: its Secrets, and values of which none is secret.

    The test calls the API in the proxy's place.
    """
    release = shared_release
    create_external_secrets(release, shown_objects, store)
    create_secret(release, OTHER_WEBHOOK, url=f"{release.surroundings.receiver.url}/other", unused="")
    release.values["callback"] = {"allowHttp": True, "allowPrivateTargets": True, "allowedSecrets": [OTHER_WEBHOOK]}
    create_secret(release, "certificate", key="made up")
    release.values["sync"] |= BESIDE
    release.values["networkPolicy"]["apiFrom"] = [{"ipBlock": {"cidr": f"{each}/32"}} for each in callers]
    return release


@pytest.fixture
def hardened(prepared: Any) -> Any:
    """A release of the profile."""
    prepared.values["sync"].pop("initContainers", None)
    prepared.ensure(f"--values={PROFILE}")
    return prepared


@pytest.fixture
def try_job(hardened: Any) -> Iterator[Callable[[dict[str, Any]], str]]:
    """Create a job with the operator's own token; return why the API server refuses it. Nothing is stored."""
    name = "sync-estimatesync-operator"
    own = hardened.cluster.create_service_account_kubeconfig(
        hardened.place / "operator.kubeconfig", namespace=hardened.namespace, name=name
    )

    with closing(ApiAccess(own)) as api:

        def attempt(job: dict[str, Any]) -> str:
            try:
                api.create(job, namespace=hardened.namespace, dryRun="All", fieldValidation="Strict")
            except CommandError as refusal:
                return str(refusal)
            return ""

        yield attempt


def find_jobs(release: Any, sync: str) -> list[dict[str, Any]]:
    return [each for each in release.find_all("Job") if each["metadata"]["ownerReferences"][0]["name"] == sync]


@pytest.fixture
def ordinary_job(hardened: Any) -> Iterator[dict[str, Any]]:
    """The job of a sync, as the operator sent it, with a sidecar (which the test kubelet does not run)."""
    hardened.values["sync"]["initContainers"] = [SIDECAR]
    hardened.ensure(f"--values={PROFILE}")
    name = hardened.post().json()["sync_id"]

    (job,) = hardened.wait_until("the job", lambda: find_jobs(hardened, name))
    metadata = {"name": "another", "ownerReferences": job["metadata"]["ownerReferences"]}
    # The API server adds labels with the job's name and uid, which another job must not have.
    labels = {name: value for name, value in job["metadata"]["labels"].items() if name.startswith("app.")}
    pod = {"metadata": {"labels": labels}, "spec": job["spec"]["template"]["spec"]}
    yield {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": pod}}
    # Its pods are refused for a while yet, and the next request would join it.
    hardened.cluster.api.delete("EstimateSync", name, namespace=hardened.namespace)


def test_a_sync_runs_under_the_hardened_profile_which_holds_no_secret(hardened: Any) -> None:
    hardened.empty_database()
    assert "would violate PodSecurity" not in hardened.printed
    kinds = hardened.kubectl("get", "networkpolicies,poddisruptionbudgets", "--output=name").split()
    assert len(kinds) == 5

    name = hardened.post().json()["sync_id"]
    hardened.wait_status(name, "succeeded")
    hardened.wait_until("the callback", lambda: hardened.list_callbacks(name))

    assert hardened.count_estimates() == 120
    assert "made-up" not in hardened.helm("get", "all", "sync")


def test_a_sync_may_take_its_callback_from_a_secret_that_the_release_names(hardened: Any) -> None:
    callback = {"urlSecretRef": {"name": OTHER_WEBHOOK, "key": "url"}}
    sync = {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "metadata": {"name": "elsewhere"}}
    hardened.create({**sync, "spec": {"callback": callback}})

    hardened.wait_until("the callback", lambda: hardened.list_callbacks("elsewhere"))

    assert [each.path for each in hardened.list_callbacks("elsewhere")] == ["/other"]


def test_under_the_admission_policy_the_operator_creates_sync_jobs_and_nothing_else(hardened: Any) -> None:
    operator = f"--as=system:serviceaccount:{hardened.namespace}:sync-estimatesync-operator"

    def try_another_job() -> str:
        arguments = ("create", "job", "other", f"--image=estimatesync-sync:{VERSION}", operator, "--dry-run=server")
        return str(hardened.kubectl(*arguments, "--", "sh", "-c", "true", check=False))

    hardened.wait_until("the policy at work", lambda: "denied request" in try_another_job())
    assert hardened.wait_status(hardened.post().json()["sync_id"], "succeeded")
    # Who deploys other jobs into the namespace is not concerned.
    other = hardened.kubectl("create", "job", "mine", f"--image=estimatesync-sync:{VERSION}", "--dry-run=server")
    assert "mine" in other


def change_pod(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda job: job["spec"]["template"]["spec"].update(fields)


def change_container(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda job: job["spec"]["template"]["spec"]["containers"][0].update(fields)


def add_variable(source: dict[str, Any], *, name: str = "ATTIC_TECH_PASSWORD") -> Callable[[dict[str, Any]], None]:
    variable = {"name": name, "valueFrom": source}
    return lambda job: job["spec"]["template"]["spec"]["containers"][0]["env"].append(variable)


def set_variable(name: str, value: str) -> Callable[[dict[str, Any]], None]:
    return lambda job: job["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": name, "value": value})


def change_sidecar(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda job: job["spec"]["template"]["spec"]["initContainers"][0].update(fields)


def change_security(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda job: job["spec"]["template"]["spec"]["containers"][0]["securityContext"].update(fields)


def add_volume(**volume: Any) -> Callable[[dict[str, Any]], None]:
    return lambda job: job["spec"]["template"]["spec"]["volumes"].append({"name": "more", **volume})


def change_labels(labels: dict[str, str]) -> Callable[[dict[str, Any]], None]:
    return lambda job: job["spec"]["template"]["metadata"]["labels"].update(labels)


SECOND = {"name": "second", "image": f"estimatesync-sync:{VERSION}"}
CALLBACK_SECRET = {"secretKeyRef": {"name": "estimatesync-callback", "key": "MAKE_SYNC_CALLBACK_WEBHOOK_URL"}}
CREDENTIAL = {"secretKeyRef": {"name": "estimatesync-credentials", "key": "ATTIC_TECH_PASSWORD"}}
TOKEN = {"sources": [{"serviceAccountToken": {"path": "token"}}]}
RUN_A_SHELL = {"exec": {"command": ["sh", "-c", "id"]}}
AS_ROOT = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsUser": 0}
FOREIGN_JOBS = [
    ("another image", change_container(image="busybox"), "runs the sync program's image"),
    ("another program", change_container(command=["sh", "-c", "id"]), "runs the sync program"),
    ("arguments", change_container(args=["--help"]), "runs the sync program"),
    ("a hook", change_container(lifecycle={"postStart": RUN_A_SHELL}), "runs the sync program"),
    ("a probe", change_container(livenessProbe=RUN_A_SHELL), "runs the sync program"),
    ("the API's account", change_pod(serviceAccountName="sync-estimatesync-api"), "service account, without its token"),
    ("a token", change_pod(automountServiceAccountToken=True), "service account, without its token"),
    ("a mounted token", add_volume(projected=TOKEN), "mounts nothing but"),
    ("a Secret mounted", add_volume(secret={"secretName": "estimatesync-callback"}), "mounts nothing but"),
    ("a directory of the node", add_volume(hostPath={"path": "/"}), "mounts nothing but"),
    ("the node's network", change_pod(hostNetwork=True), "nothing of the node"),
    ("the node's processes", change_pod(hostPID=True), "nothing of the node"),
    ("the node's semaphores", change_pod(hostIPC=True), "nothing of the node"),
    ("more rights", change_container(securityContext={"allowPrivilegeEscalation": True}), "nothing of the node"),
    ("rights by default", change_container(securityContext={}), "nothing of the node"),
    ("a Secret read", add_variable(CALLBACK_SECRET), "reads no other Secret"),
    ("a whole Secret", change_container(envFrom=[{"secretRef": {"name": OTHER_WEBHOOK}}]), "reads no other Secret"),
    ("a Secret's other key", add_variable(CREDENTIAL, name="SYNC_ID"), "reads no other Secret"),
    ("root", change_pod(securityContext={"runAsUser": 0}), "runs unprivileged"),
    ("root after all", change_security(runAsUser=0, runAsNonRoot=False), "runs unprivileged"),
    ("a capability", change_security(capabilities={"drop": ["ALL"], "add": ["SYS_MODULE"]}), "runs unprivileged"),
    ("capabilities by default", change_security(capabilities={}), "runs unprivileged"),
    ("every system call", change_security(seccompProfile={"type": "Unconfined"}), "runs unprivileged"),
    ("a port of the node", change_container(ports=[{"containerPort": 80, "hostPort": 80}]), "nothing of the node"),
    ("a certain node", change_pod(nodeName="control-plane"), "nothing of the node"),
    ("another source", set_variable("ATTIC_TECH_URL", "https://evil.example"), "variables of a sync"),
    ("another way out", set_variable("HTTPS_PROXY", "http://evil.example:3128"), "variables of a sync"),
    ("another database", set_variable("DATABASE_URL", "postgresql://evil.example/x"), "variables of a sync"),
    ("other authorities", set_variable("SSL_CERT_FILE", "/proc/self/environ"), "variables of a sync"),
    ("another collector", set_variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://evil.example"), "variables of a sync"),
    ("code by a variable", set_variable("PYTHONWARNINGS", "all:0:antigravity.x:0:0"), "variables of a sync"),
    ("a Secret in a variable", set_variable("SYNC_ID", "$(ATTIC_TECH_PASSWORD)"), "variables of a sync"),
    ("another directory", change_container(workingDir="/elsewhere"), "runs the sync program"),
    ("other addresses", change_pod(hostAliases=[{"ip": "192.0.2.1", "hostnames": ["db"]}]), "looks names up"),
    ("other name servers", change_pod(dnsConfig={"nameservers": ["192.0.2.1"]}), "looks names up"),
    ("the API's labels", change_labels({"app.kubernetes.io/component": "api"}), "labels of sync pods"),
    ("no labels", lambda job: job["spec"]["template"].pop("metadata"), "labels of sync pods"),
    ("a second container", lambda job: job["spec"]["template"]["spec"]["containers"].append(SECOND), "one container"),
    ("a container before it", change_pod(initContainers=[SECOND]), "one container"),
    ("a second container", change_pod(ephemeralContainers=[SECOND]), "not allowed in pod template"),
    ("another sidecar", change_sidecar(image="busybox"), "runs the sync program's image"),
    ("a sidecar of another name", change_sidecar(name="sync-too"), "one container"),
    ("a sidecar at other work", change_sidecar(command=["sh"]), "runs the sync program"),
    ("a sidecar told more", change_sidecar(args=["x"]), "runs the sync program"),
    ("a sidecar's probe", change_sidecar(livenessProbe=RUN_A_SHELL), "runs the sync program"),
    ("a sidecar's variable", change_sidecar(env=[{"name": "PORT", "value": "1"}]), "variables of a sync"),
    ("a sidecar's Secret", change_sidecar(env=[{"name": "PORT", "valueFrom": CALLBACK_SECRET}]), "no other Secret"),
    ("a sidecar as root", change_sidecar(securityContext=AS_ROOT), "runs unprivileged"),
    ("a sidecar without limits", change_sidecar(securityContext={}), "nothing of the node"),
    ("the login in its place", add_variable(CREDENTIAL, name="TAKEN"), "reads no other Secret"),
    ("without an owner", lambda job: job["metadata"].pop("ownerReferences"), "belongs to an EstimateSync"),
]


def test_the_operators_own_token_creates_sync_jobs_and_nothing_else(
    hardened: Any, try_job: Callable[[dict[str, Any]], str], ordinary_job: dict[str, Any]
) -> None:
    def change(alter: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        job: dict[str, Any] = json.loads(json.dumps(ordinary_job))
        alter(job)
        return job

    # The API server learns of a new policy within a second or so.
    hardened.wait_until("the policy at work", lambda: "denied request" in try_job(change(FOREIGN_JOBS[0][1])))
    assert try_job(ordinary_job) == ""

    answers = {name: (try_job(change(alter)), words) for name, alter, words in FOREIGN_JOBS}

    allowed = {name: answer for name, (answer, words) in answers.items() if words not in answer}
    assert allowed == {}

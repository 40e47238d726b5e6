"""A pod on the test node runs as a local process, and Kubernetes' own tools see what it did."""

from collections.abc import Callable
from typing import Any

import pytest

RunPod = Callable[..., dict[str, Any]]
ReadLogs = Callable[..., str]


def test_exit_code_message_and_logs_come_back(run_pod: RunPod, read_logs: ReadLogs) -> None:
    script = 'echo one; echo two >&2; printf %s \'{"code":"X"}\' > "$TERMINATION_MESSAGE_PATH"; exit 10'

    status = run_pod(script)

    terminated = status["containerStatuses"][0]["state"]["terminated"]
    assert status["phase"] == "Failed"
    assert (terminated["exitCode"], terminated["reason"], terminated["message"]) == (10, "Error", '{"code":"X"}')
    assert terminated["startedAt"] <= terminated["finishedAt"]
    assert read_logs() == "one\ntwo\n"
    assert read_logs("--tail=1") == "two\n"
    assert read_logs("--limit-bytes=5") == "one\nt"
    assert read_logs("--since-time=2999-01-01T00:00:00Z") == ""
    assert read_logs("--timestamps").startswith(terminated["startedAt"][:-4])


def test_success_completes_the_pod(run_pod: RunPod) -> None:
    status = run_pod("exit 0")

    conditions = {each["type"]: (each["status"], each.get("reason")) for each in status["conditions"]}
    assert status["phase"] == "Succeeded"
    assert conditions["Ready"] == ("False", "PodCompleted")
    assert conditions["PodScheduled"] == ("True", None)


def test_environment_is_clean_and_resolved(
    run_pod: RunPod, read_logs: ReadLogs, apply: Callable[[dict[str, Any]], None], namespace: str
) -> None:
    apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "made-up"}})
    apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"COLOUR": "green"}})
    environment = [
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
        {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "BOTH", "value": "$(COLOUR)-$(PASSWORD)"},
    ]
    script = 'echo "$0 $NAMESPACE $BOTH"; cd "$HOME"; touch "$TMPDIR/x"; env | cut -d= -f1 | sort | tr "\\n" " "'

    run_pod(script, env=environment, envFrom=[{"configMapRef": {"name": "c"}}], args=["$(COLOUR)"])

    first, names = read_logs().splitlines()
    own = {"PASSWORD", "NAMESPACE", "BOTH", "COLOUR"}
    shell = {"PWD", "OLDPWD", "LC_CTYPE", "_"}
    assert first == f"green {namespace} green-made-up"
    assert set(names.split()) - shell == own | {"PATH", "HOME", "TMPDIR", "TERMINATION_MESSAGE_PATH", "KUBECONFIG"}


def test_python_is_the_one_with_the_packages(run_pod: RunPod, read_logs: ReadLogs) -> None:
    status = run_pod("", command=["python", "-c", "import estimatesync_contract; print('found')"])

    assert (status["phase"], read_logs()) == ("Succeeded", "found\n")


def test_followed_logs_end_with_the_container(run_pod: RunPod, read_logs: ReadLogs) -> None:
    script = "for i in 1 2 3; do echo line $i; sleep 0.3; done"
    run_pod(script, until=lambda status: status.get("phase") == "Running")

    logs = read_logs("--follow")

    assert logs == "line 1\nline 2\nline 3\n"


@pytest.mark.parametrize(
    ("script", "exit_code", "message"),
    [
        pytest.param("echo why; exit 2", 2, "why\n", id="logs when the message is missing"),
        pytest.param("echo fine", 0, None, id="nothing on success"),
        pytest.param("kill -KILL $$$$", 137, None, id="killed: 128 + signal"),
        pytest.param("kill -TERM $$$$", 143, None, id="terminated: 128 + signal"),
    ],
)
def test_fallback_to_logs_and_signals(run_pod: RunPod, script: str, exit_code: int, message: str | None) -> None:
    status = run_pod(script, terminationMessagePolicy="FallbackToLogsOnError")

    terminated = status["containerStatuses"][0]["state"]["terminated"]
    assert (terminated["exitCode"], terminated.get("message")) == (exit_code, message)


def test_failing_container_is_started_again_after_a_back_off(
    run_pod: RunPod, read_logs: ReadLogs, wait_for_pod: Callable[..., dict[str, Any]]
) -> None:
    script = 'if [ -e "$HOME/been-here" ]; then echo second; else touch "$HOME/been-here"; echo first; exit 1; fi'
    waiting = run_pod(script, spec={"restartPolicy": "OnFailure"}, until=lambda status: "CrashLoop" in str(status))

    status = wait_for_pod()

    assert waiting["phase"] == "Running"
    assert (status["phase"], status["containerStatuses"][0]["restartCount"]) == ("Succeeded", 1)
    assert (read_logs("--previous"), read_logs()) == ("first\n", "second\n")

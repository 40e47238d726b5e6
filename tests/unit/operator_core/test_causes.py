from collections import Counter

import pytest
from estimatesync_contract.causes import BLOCKERS, CAUSES, Cause, Reason, format_cause
from estimatesync_operator.core.job_observation import SIGNS, find_reason

ORDINARY = {
    *(Reason.QUEUED, Reason.SUSPENDED, Reason.STARTING, Reason.RUNNING, Reason.STOPPING, Reason.SUCCEEDED),
}


def test_every_reason_that_is_not_an_ordinary_state_has_one_row() -> None:
    rows = Counter(cause.reason for cause in CAUSES)

    assert set(rows) == set(Reason) - ORDINARY
    assert set(rows.values()) == {1}


def test_a_sign_means_one_thing() -> None:
    signs = Counter(sign for known in SIGNS.values() for sign in known)

    assert {sign for sign, count in signs.items() if count > 1} == set()


def test_each_word_of_kubernetes_is_known_for_what_it_means() -> None:
    """As its sources write them: kubelet, scheduler, job controller, eviction, garbage collector."""
    words = {
        Reason.POD_REFUSED: "FailedCreate",
        Reason.UNSCHEDULABLE: "Unschedulable",
        Reason.IMAGE_PULL_FAILED: (
            "ErrImagePull ImagePullBackOff ErrImageNeverPull InvalidImageName ImageInspectError RegistryUnavailable "
            "SignatureValidationFailed"
        ),
        Reason.CONTAINER_REFUSED: (
            "CreateContainerConfigError CreateContainerError RunContainerError FailedMount FailedCreatePodSandBox"
        ),
        Reason.INIT_CONTAINER_STUCK: "PodInitializing",
        Reason.INIT_CONTAINER_FAILED: "Init:Error",
        Reason.NODE_LOST: "NodeLost DeletionByPodGC DeletionByTaintManager",
        Reason.JOB_SUSPENDED: "JobSuspended",
        Reason.SCHEDULING_GATED: "SchedulingGated",
        Reason.OUT_OF_MEMORY: "OOMKilled",
        Reason.EVICTED: (
            "Evicted Preempting Terminated NodeShutdown Shutdown PreemptionByScheduler EvictionByEvictionAPI "
            "TerminationByKubelet"
        ),
    }

    assert {
        reason: {sign for sign in text.split() if find_reason(sign) is reason} for reason, text in words.items()
    } == {reason: set(text.split()) for reason, text in words.items()}
    assert words.keys() == SIGNS.keys()


def test_every_blocker_but_three_is_known_by_signs() -> None:
    """The API server's response shows a refused job; the message with the sign a missing Secret or limit."""
    signless = BLOCKERS - set(SIGNS)

    assert signless == {Reason.JOB_REFUSED, Reason.SECRET_MISSING, Reason.LIMIT_MISSING}


@pytest.mark.parametrize("cause", [pytest.param(cause, id=cause.reason) for cause in CAUSES])
def test_every_cause_says_what_happened_and_what_to_do(cause: Cause) -> None:
    message = format_cause(cause.reason, seconds=60, exit_code=1, sign="OutOfcpu", times=6)

    assert message.startswith(cause.happened.partition("{")[0])
    assert "{" not in message
    assert cause.cure or cause.reason is Reason.CANCELLED


def test_what_kubernetes_says_is_quoted_but_never_at_length() -> None:
    message = format_cause(Reason.POD_REFUSED, quote="x" * 5000)

    assert message.startswith("The cluster refuses the pod of the sync. Check the service account")
    assert message.endswith(": " + "x" * 600)


def test_an_unknown_sign_means_nothing() -> None:
    assert find_reason("SomethingNew") is None
    assert find_reason(None) is None

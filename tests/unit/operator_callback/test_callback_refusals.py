"""The sender without a network: where the URL comes from, and what refuses it before anything is sent."""

import asyncio
import socket
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import CallbackSpec, EstimateSyncSpec, SecretKeyRef
from estimatesync_operator.callback.sender import HttpCallbackSender, Resolve
from estimatesync_operator.callback.settings import CallbackSettings
from estimatesync_operator.core.ports import BackendUnavailableError, CallbackAttempt

NOW = datetime(2025, 10, 16, 14, 15, 30, tzinfo=UTC)
URL = "https://hooks.example.test/s3cret"
ALLOWED = CallbackSettings(default_url=URL, allowed_secrets=frozenset({"make-webhook"}))


class FakeSecrets:
    """Secrets by namespace, name and key; an exception instead of a text is raised."""

    def __init__(self, values: dict[tuple[str, str, str], str | Exception] | None = None) -> None:
        self.values = values or {}

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        value = self.values.get((namespace, name, key))
        if isinstance(value, Exception):
            raise value
        return value


async def resolve_private(_host: str, _port: int) -> Sequence[str]:
    return ["10.0.0.1"]


def naming(sync: EstimateSync, secret: str) -> EstimateSync:
    callback = CallbackSpec(url_secret_ref=SecretKeyRef(name=secret, key="url"))
    return msgspec.structs.replace(sync, spec=EstimateSyncSpec(callback=callback))


def send(
    sync: EstimateSync,
    settings: CallbackSettings = ALLOWED,
    secrets: dict[tuple[str, str, str], str | Exception] | None = None,
    resolve: Resolve = resolve_private,
    target: str | None = None,
) -> CallbackAttempt:
    sender = HttpCallbackSender(lambda: settings, FakeSecrets(secrets), resolve=resolve)
    return asyncio.run(sender.send(sync, body=b"{}", callback_id="msg_6f1c", now=NOW, target=target))


@pytest.mark.parametrize(
    ("settings", "secret", "expected"),
    [
        pytest.param(CallbackSettings(), None, False, id="nothing"),
        pytest.param(ALLOWED, None, True, id="default"),
        pytest.param(CallbackSettings(), "unknown", True, id="named-even-if-unusable"),
    ],
)
def test_target_is_the_default_or_the_named_one(
    succeeded: EstimateSync,
    settings: CallbackSettings,
    secret: str | None,
    expected: bool,  # noqa: FBT001 - a parameter of pytest
) -> None:
    sync = naming(succeeded, secret) if secret else succeeded

    has_target = asyncio.run(HttpCallbackSender(lambda: settings, FakeSecrets()).has_target(sync))

    assert has_target is expected


def test_nothing_configured_is_refused_with_what_to_set(succeeded: EstimateSync) -> None:
    attempt = send(succeeded, CallbackSettings())

    assert attempt.is_refused
    assert "MAKE_SYNC_CALLBACK_WEBHOOK_URL" in (attempt.error or "")


@pytest.mark.parametrize(
    ("alert_url", "says"),
    [
        pytest.param(None, "MAKE_SYNC_ALERT_WEBHOOK_URL", id="none"),
        pytest.param(URL, "CALLBACK_ALLOW_PRIVATE_TARGETS=true", id="private-address"),
    ],
)
def test_an_alert_goes_where_callbacks_may_go(succeeded: EstimateSync, alert_url: str | None, says: str) -> None:
    settings = CallbackSettings(default_url="https://other.example.test/s3cret", alert_url=alert_url)
    sender = HttpCallbackSender(lambda: settings, FakeSecrets(), resolve=resolve_private)

    has_target = asyncio.run(sender.has_alert_target())
    attempt = asyncio.run(sender.send_alert(succeeded, body=b"{}", callback_id="alert_6f1c", now=NOW))

    assert has_target is (alert_url is not None)
    assert attempt.is_refused
    assert says in (attempt.error or "")
    assert "s3cret" not in str(attempt)


@pytest.mark.parametrize(
    ("secret", "value", "says"),
    [
        pytest.param("other", URL, "Secret other is not allowed", id="not-on-the-list"),
        pytest.param("make-webhook", None, "no callback URL under the key url", id="missing"),
        pytest.param("make-webhook", "", "no callback URL under the key url", id="empty"),
        pytest.param("make-webhook", "http://x/s3cret", "CALLBACK_ALLOW_HTTP=true", id="plain-http"),
        pytest.param("make-webhook", "https://x:s3cret@y/", "user name or password", id="credentials"),
        pytest.param("make-webhook", URL, "CALLBACK_ALLOW_PRIVATE_TARGETS=true", id="private-address"),
    ],
)
def test_named_target_is_refused_with_what_to_change(
    succeeded: EstimateSync, secret: str, value: str | None, says: str
) -> None:
    values: dict[tuple[str, str, str], str | Exception] = {}
    if value is not None:
        values["botzilla", secret, "url"] = value

    attempt = send(naming(succeeded, secret), secrets=values)

    assert attempt.is_refused
    assert says in (attempt.error or "")
    assert "s3cret" not in str(attempt)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        pytest.param(BackendUnavailableError("s3cret"), "cannot be read now", id="cluster-away"),
        pytest.param(RuntimeError("s3cret"), "unexpected RuntimeError", id="a-bug"),
    ],
)
def test_secret_that_cannot_be_read_is_an_attempt_that_may_be_repeated(
    succeeded: EstimateSync, fault: Exception, says: str
) -> None:
    attempt = send(naming(succeeded, "make-webhook"), secrets={("botzilla", "make-webhook", "url"): fault})

    assert not attempt.is_refused
    assert says in (attempt.error or "")
    assert "s3cret" not in str(attempt)


def test_name_that_cannot_be_resolved_may_be_repeated(succeeded: EstimateSync) -> None:
    async def resolve_nothing(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    attempt = send(succeeded, resolve=resolve_nothing)

    assert attempt == CallbackAttempt(error="https://hooks.example.test: its name cannot be resolved")


def test_slow_name_server_ends_with_the_total_time(succeeded: EstimateSync) -> None:
    async def resolve_never(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    attempt = send(succeeded, CallbackSettings(default_url=URL, total_seconds=0.05), resolve=resolve_never)

    assert attempt == CallbackAttempt(error="https://hooks.example.test: it did not answer in time")


def test_a_target_that_is_not_known_here_is_refused_with_what_to_set(succeeded: EstimateSync) -> None:
    attempt = send(succeeded, target="billing")

    assert attempt.is_refused
    assert attempt.error == "no callback target is named billing; add it to CALLBACK_TARGETS"


def test_a_target_whose_url_cannot_be_used_is_refused_with_what_to_correct(succeeded: EstimateSync) -> None:
    attempt = send(succeeded, CallbackSettings(default_url=URL, targets={"billing": ""}), target="billing")

    assert attempt.is_refused
    assert attempt.error == "callback target billing has no usable URL; correct the file or the Secret that holds it"


@pytest.mark.parametrize(("target", "host"), [("billing", "billing.test"), ("default", "hooks.example.test")])
def test_a_named_target_goes_to_its_own_host(succeeded: EstimateSync, target: str, host: str) -> None:
    asked = []

    async def resolve(name: str, _port: int) -> Sequence[str]:
        asked.append(name)
        return ["10.0.0.1"]

    settings = CallbackSettings(default_url=URL, targets={"billing": "https://billing.test/s3cret"})
    send(succeeded, settings, resolve=resolve, target=target)

    assert asked == [host]

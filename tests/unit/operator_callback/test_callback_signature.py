"""The headers of Standard Webhooks: against the published vector, and as the reference library verifies them."""

import base64
from datetime import UTC, datetime

import pytest
from estimatesync_operator.callback.signature import SigningSecretError, build_callback_headers, parse_signing_secret
from standardwebhooks import Webhook, WebhookVerificationError

VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_BODY = b'{"test": 2432232314}'
OTHER_SECRET = "whsec_" + base64.b64encode(b"another made-up key of 32 bytes!").decode()


def build_headers(*secrets: str, body: bytes = VECTOR_BODY, make_api_key: str | None = None) -> dict[str, str]:
    keys = [parse_signing_secret(secret) for secret in secrets]
    return build_callback_headers(
        callback_id="msg_1", now=datetime.now(UTC), body=body, signing_keys=keys, make_api_key=make_api_key
    )


def test_published_vector_is_met() -> None:
    headers = build_callback_headers(
        callback_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        now=datetime.fromtimestamp(1_614_265_330.9, UTC),
        body=VECTOR_BODY,
        signing_keys=[parse_signing_secret(VECTOR_SECRET)],
        make_api_key=None,
    )

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("held", [VECTOR_SECRET, OTHER_SECRET], ids=["old", "new"])
def test_receiver_holding_either_secret_verifies_during_rotation(held: str) -> None:
    headers = build_headers(VECTOR_SECRET, OTHER_SECRET, body='{"error":"naïve ☕"}'.encode())

    verified = Webhook(held).verify('{"error":"naïve ☕"}'.encode(), headers)

    assert verified == {"error": "naïve ☕"}


def test_changed_body_does_not_verify() -> None:
    headers = build_headers(VECTOR_SECRET)

    with pytest.raises(WebhookVerificationError):
        Webhook(VECTOR_SECRET).verify(VECTOR_BODY + b" ", headers)


def test_without_secrets_nothing_is_signed_and_the_api_key_is_sent_only_when_set() -> None:
    plain, keyed = build_headers(), build_headers(make_api_key="made-up-key")

    assert list(plain) == ["webhook-id", "webhook-timestamp"]
    assert keyed["x-make-apikey"] == "made-up-key"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(VECTOR_SECRET, id="as-published"),
        pytest.param(VECTOR_SECRET.removeprefix("whsec_"), id="without-prefix"),
    ],
)
def test_secret_is_read_with_or_without_prefix(text: str) -> None:
    assert parse_signing_secret(text) == base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


def test_secret_is_read_with_or_without_padding() -> None:
    padded = base64.b64encode(b"a made-up key of 25 bytes").decode()

    keys = {parse_signing_secret(padded), parse_signing_secret(padded.rstrip("="))}

    assert padded.endswith("=")
    assert keys == {b"a made-up key of 25 bytes"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("whsec_", "0 bytes", id="empty"),
        pytest.param("whsec_c2hvcnQ=", "5 bytes", id="short"),
        pytest.param("whsec_not base64 at all, is it?", "not base64", id="not-base64"),
        pytest.param("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSé", "not base64", id="not-ascii"),
        pytest.param("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwA", "not base64", id="impossible-length"),
    ],
)
def test_unusable_secret_is_refused_without_being_shown(text: str, says: str) -> None:
    with pytest.raises(SigningSecretError, match=says) as caught:
        parse_signing_secret(text)

    assert text not in str(caught.value)
    assert caught.value.__cause__ is None

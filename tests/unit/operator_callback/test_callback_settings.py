"""The callback's settings: defaults, values, every fault at once, and no secret shown anywhere."""

import base64
from collections.abc import Mapping

import pytest
from estimatesync_contract.settings import SettingsError, SettingsReader
from estimatesync_operator.callback.settings import CALLBACK_SETTINGS, CallbackSettings, read_callback_settings

SETTING_NAMES = [each.name for each in CALLBACK_SETTINGS]

FIRST, SECOND = b"a made-up key of 32 bytes, one..", b"a made-up key of 32 bytes, two.."


def parse(environ: Mapping[str, str]) -> CallbackSettings:
    reader = SettingsReader(environ)
    settings = read_callback_settings(reader)
    reader.raise_faults()
    return settings


def encode(key: bytes) -> str:
    return f"whsec_{base64.b64encode(key).decode()}"


def test_nothing_set_means_no_callback_and_nothing_allowed() -> None:
    blank = dict.fromkeys(SETTING_NAMES, " ")

    assert parse({}) == parse(blank) == CallbackSettings()


def test_every_setting_is_read() -> None:
    settings = parse(
        {
            "MAKE_SYNC_CALLBACK_WEBHOOK_URL": " http://make.example/s3cret\n",
            "MAKE_SYNC_ALERT_WEBHOOK_URL": "https://make.example/alert",
            "CALLBACK_SIGNING_SECRETS": f"{encode(FIRST)}, {encode(SECOND)}\n",
            "CALLBACK_MAKE_API_KEY": "made-up-key",
            "CALLBACK_ALLOW_HTTP": "True",
            "CALLBACK_ALLOW_PRIVATE_TARGETS": "true",
            "CALLBACK_ALLOWED_SECRETS": "make-webhook, other.webhook",
        }
    )

    assert settings == CallbackSettings(
        default_url="http://make.example/s3cret",
        alert_url="https://make.example/alert",
        signing_keys=(FIRST, SECOND),
        make_api_key="made-up-key",
        allow_insecure=True,
        allow_private=True,
        allowed_secrets=frozenset({"make-webhook", "other.webhook"}),
    )


def test_all_faults_are_reported_at_once_and_show_no_value() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(
            {
                "MAKE_SYNC_CALLBACK_WEBHOOK_URL": "http://make.example/s3cret",
                "MAKE_SYNC_ALERT_WEBHOOK_URL": "make.example/s3cret",
                "CALLBACK_SIGNING_SECRETS": f"{encode(FIRST)} s3cret!",
                "CALLBACK_MAKE_API_KEY": "s3cret\nkey",
                "CALLBACK_TARGETS": "crm=https://make.example/fine,s3cret",
                "CALLBACK_ALLOW_HTTP": "s3cret",
                "CALLBACK_ALLOW_PRIVATE_TARGETS": "1",
                "CALLBACK_ALLOWED_SECRETS": "fine,S3cret",
            }
        )

    faults = caught.value.faults
    assert {fault.split()[0] for fault in faults} == set(SETTING_NAMES)
    assert any("secret 2 is not base64" in fault for fault in faults)
    assert "s3cret" not in " ".join(faults).lower()


def test_secrets_are_not_in_the_repr() -> None:
    settings = CallbackSettings(
        default_url="https://make.example/s3cret",
        alert_url="https://make.example/s3cret",
        signing_keys=(b"s3cret",),
        make_api_key="s3cret",
    )

    assert "s3cret" not in repr(settings)

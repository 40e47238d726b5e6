"""What doctor tries itself: which settings it needs, which rights suffice, which addresses are public."""

from typing import Any

import pytest
from estimatesync_client.adapters.callback_probe import check_callback, check_callbacks
from estimatesync_client.adapters.database_probe import Rights, decide_rights
from estimatesync_client.core.diagnoses import Verdict
from estimatesync_client.settings import CallbackSettings, parse_deployment

SECRET = "made-up-secret-of-this-test"
SETTING = "MAKE_SYNC_CALLBACK_WEBHOOK_URL"


def test_all_settings_of_a_deployment_are_read_and_hidden() -> None:
    targets = parse_deployment(
        {
            "ATTIC_TECH_EMAIL": f"{SECRET}@example.com",
            "ATTIC_TECH_PASSWORD": f" {SECRET}\n",
            "DATABASE_URL": f"postgresql://me:{SECRET}@db/name",
            "DATABASE_SCHEMA": "other",
            "MAKE_SYNC_CALLBACK_WEBHOOK_URL": f"https://hook.example/{SECRET}",
            "CALLBACK_ALLOW_PRIVATE_TARGETS": "TRUE",
        }
    )

    assert targets.source is not None
    assert targets.source.password == f" {SECRET}"
    assert targets.source.url == "https://www.attic-tech.com"
    assert targets.database is not None
    assert targets.database.schema == "other"
    (callback,) = targets.callbacks
    assert (callback.setting, callback.allow_http, callback.allow_private) == (SETTING, False, True)
    assert SECRET not in repr(targets)


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"ATTIC_TECH_EMAIL": "a@b.example", "DATABASE_URL": " "}, id="half a login"),
        pytest.param({"ATTIC_TECH_PASSWORD": "x"}, id="the other half"),
    ],
)
def test_what_is_not_known_here_is_not_tried(environment: dict[str, str]) -> None:
    targets = parse_deployment(environment)

    assert (targets.source, targets.database, targets.callbacks) == (None, None, ())


def rights(**fields: Any) -> Rights:
    good = {
        "database": "botzilla",
        "user": "sync",
        "encoding": "UTF8",
        "is_read_only": False,
        "can_create_schema": True,
        "has_schema": False,
        "can_use_schema": False,
        "can_create_in_schema": False,
        "can_write_table": None,
    }
    return Rights(**(good | fields))


READY: dict[str, Any] = {"has_schema": True, "can_use_schema": True, "can_create_schema": False}


@pytest.mark.parametrize(
    ("fields", "verdict", "cure"),
    [
        pytest.param({}, Verdict.OK, "", id="may create the schema"),
        pytest.param({"can_create_schema": False}, Verdict.FAULT, "GRANT CREATE ON DATABASE botzilla", id="may not"),
        pytest.param({**READY, "can_create_in_schema": True}, Verdict.OK, "", id="an empty schema of its own"),
        pytest.param(READY, Verdict.FAULT, "GRANT USAGE, CREATE ON SCHEMA s TO sync", id="an empty schema of others"),
        pytest.param({**READY, "can_write_table": True}, Verdict.OK, "", id="a complete schema needs no more"),
        pytest.param({**READY, "can_write_table": False}, Verdict.FAULT, "GRANT USAGE", id="the tables of others"),
        pytest.param({"is_read_only": True}, Verdict.FAULT, "primary server", id="a replica"),
        pytest.param({"encoding": "LATIN1"}, Verdict.FAULT, "ENCODING 'UTF8'", id="a new set in another encoding"),
        pytest.param({**READY, "can_write_table": True, "encoding": "LATIN1"}, Verdict.UNKNOWN, "Move to", id="an old"),
        pytest.param({**READY, "can_write_table": True, "encoding": "SQL_ASCII"}, Verdict.OK, "", id="all bytes"),
    ],
)
def test_the_rights_that_a_sync_needs_suffice(fields: dict[str, Any], verdict: Verdict, cure: str) -> None:
    finding = decide_rights(rights(**fields), schema="s")

    assert finding.verdict is verdict
    assert cure in finding.cure


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        pytest.param("https://192.0.2.1/abc", "192.0.2.1 leads to 192.0.2.1, which is not public", id="readable"),
        pytest.param("http://hook.example/abc", "the callback URL starts with http://", id="no TLS"),
        pytest.param("hook.example/abc", "the callback URL does not start with https://", id="no scheme"),
        pytest.param("https:///abc", "the callback URL has no readable host", id="no host"),
        pytest.param("https://x:99999/abc", "the callback URL has an unreadable port", id="no port"),
        pytest.param("https://me:pw@hook.example/abc", "the callback URL holds a user name", id="credentials"),
    ],
)
def test_a_webhook_url_is_judged_without_being_shown(url: str, fault: str) -> None:
    finding = check_callback(CallbackSettings(setting=SETTING, url=url, allow_http=False, allow_private=False))

    assert finding.verdict is Verdict.FAULT
    assert finding.cause.startswith(fault)
    assert "abc" not in finding.cause + finding.cure


@pytest.mark.parametrize(
    ("environment", "cure"),
    [
        pytest.param({SETTING: "https://10.0.0.1/"}, SETTING, id="the one of all syncs"),
        pytest.param(
            {"CALLBACK_TARGETS": "crm=/run/hook,billing=https://10.0.0.1/"},
            "CALLBACK_TARGETS (billing)",
            id="a named one",
        ),
        pytest.param({"MAKE_SYNC_ALERT_WEBHOOK_URL": "http://x/"}, "MAKE_SYNC_ALERT_WEBHOOK_URL", id="that of alerts"),
    ],
)
def test_every_webhook_is_tried_and_the_one_at_fault_is_named(environment: dict[str, str], cure: str) -> None:
    finding = check_callbacks(parse_deployment(environment).callbacks)

    assert finding.verdict is Verdict.FAULT
    assert cure in finding.cure


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        pytest.param("169.254.169.254", "link-local", id="a metadata service"),
        pytest.param("100.100.100.200", "a cloud's metadata service", id="another one"),
        pytest.param("224.0.0.1", "multicast", id="multicast"),
    ],
)
def test_no_setting_opens_an_address_that_the_operator_never_calls(address: str, kind: str) -> None:
    finding = check_callback(
        CallbackSettings(setting=SETTING, url=f"https://{address}/", allow_http=True, allow_private=True)
    )

    assert finding.verdict is Verdict.FAULT
    assert finding.cause.endswith(f"which is not public: it is {kind}")
    assert "CALLBACK_ALLOW_PRIVATE_TARGETS" not in finding.cure


def test_what_allows_a_private_address_is_in_the_cure() -> None:
    finding = check_callback(
        CallbackSettings(setting=SETTING, url="https://10.0.0.1/", allow_http=False, allow_private=False)
    )

    assert finding.cause == "10.0.0.1 leads to 10.0.0.1, which is not public: it is private"
    assert "CALLBACK_ALLOW_PRIVATE_TARGETS=true" in finding.cure

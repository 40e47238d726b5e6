"""The CronJobs of `schedules`. That they start syncs is tried in tests/e2e/chart."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cronsim import CronSim, CronSimError
from estimatesync_client.core.errors import Exit
from estimatesync_contract.schedules import build_schedule_key, is_cron

NIGHTLY = {"name": "nightly", "cron": "0 3 * * *"}
WEEKLY = {
    "name": "weekly",
    "cron": "30 4 * * SUN",
    "timeZone": "America/Chicago",
    "days": 400,
    "mode": "changes",
    "suspend": True,
}
POLICY = {"networkPolicy": {"enabled": True, "apiFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}}


def find_container(cron_job: Any) -> Any:
    (container,) = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return container


def list_values(container: Any) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def test_a_schedule_is_a_cron_job_that_asks_the_api_of_its_release(render: Callable[..., Any]) -> None:
    nightly = render({"schedules": [NIGHTLY], "settings": {"timeZone": "Europe/Madrid"}}).find("CronJob")
    spec, container = nightly["spec"], find_container(nightly)
    values = list_values(container)

    assert nightly["metadata"]["name"] == "release-estimatesync-nightly"
    assert (spec["schedule"], spec["timeZone"], spec["suspend"]) == ("0 3 * * *", "Europe/Madrid", False)
    assert values["ESTIMATESYNC_URL"] == "http://release-estimatesync-api:80"
    assert values["ESTIMATESYNC_API_KEY_FILE"] == "/etc/estimatesync/keys/API_KEYS"
    assert container["args"] == ["--patience=600", "start", "--idempotency-key=schedule/$(JOB_NAME)"]
    assert "ESTIMATESYNC_API_KEY_NAME" not in values


def test_what_a_schedule_says_is_in_its_cron_job(render: Callable[..., Any]) -> None:
    keys = {"keys": {"schedules": "made-up-key-0123456789"}, "scheduleKey": "schedules"}

    weekly = render({"schedules": [NIGHTLY, WEEKLY], "apiKeys": keys}).find("CronJob", "-weekly")

    spec, container = weekly["spec"], find_container(weekly)
    assert (spec["schedule"], spec["timeZone"], spec["suspend"]) == ("30 4 * * SUN", "America/Chicago", True)
    assert container["args"][-2:] == ["--days=400", "--changes"]
    assert list_values(container)["ESTIMATESYNC_API_KEY_NAME"] == "schedules"


def test_the_key_of_a_start_is_made_of_the_minute_that_it_is_for(render: Callable[..., Any]) -> None:
    """Kubernetes names a CronJob's job by the minute: pkg/controller/cronjob, getJobName."""
    nightly = render({"schedules": [NIGHTLY]}).find("CronJob")
    minutes = int(datetime(2026, 12, 1, 3, tzinfo=UTC).timestamp()) // 60
    job = f"{nightly['metadata']['name']}-{minutes}"

    (argument,) = [each for each in find_container(nightly)["args"] if each.startswith("--idempotency-key=")]

    label = list_values(find_container(nightly))["JOB_NAME"]
    assert label == {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}}
    key = argument.removeprefix("--idempotency-key=").replace("$(JOB_NAME)", job)
    assert key == build_schedule_key("release-estimatesync-nightly", minutes) == f"schedule/{job}"


def test_a_start_is_tried_again_only_where_that_may_help(render: Callable[..., Any]) -> None:
    job = render({"schedules": [NIGHTLY]}).find("CronJob")["spec"]["jobTemplate"]["spec"]

    (rule,) = job["podFailurePolicy"]["rules"]
    final = {Exit(code).code for code in Exit if code.code in rule["onExitCodes"]["values"]}
    assert (rule["action"], job["backoffLimit"]) == ("FailJob", 3)
    assert final == {each.code for each in (Exit.REFUSED, Exit.USAGE, Exit.NOT_ALLOWED, Exit.CONFLICT)}
    assert Exit.UNAVAILABLE.code not in final


def test_only_the_api_and_dns_are_reached_from_a_schedule_and_the_api_lets_it_in(render: Callable[..., Any]) -> None:
    rendered = render({**POLICY, "schedules": [NIGHTLY], "api": {"port": 9090}})
    labels = rendered.find("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]

    policy = rendered.find("NetworkPolicy", "-schedule")["spec"]
    assert [each["port"] for rule in policy["egress"] for each in rule["ports"]] == [53, 53, 9090, 80]
    assert (policy["policyTypes"], policy.get("ingress")) == (["Ingress", "Egress"], None)
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    (rule,) = rendered.find("NetworkPolicy", "-api")["spec"]["ingress"]
    selectors = [each["podSelector"]["matchLabels"] for each in rule["from"] if "podSelector" in each]
    assert policy["podSelector"]["matchLabels"] in selectors


def test_without_schedules_there_is_nothing_of_them(render: Callable[..., Any]) -> None:
    rendered = render(POLICY)

    assert rendered.list("CronJob") == rendered.list("NetworkPolicy", "-schedule") == []


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        pytest.param({"name": "Nightly"}, "/schedules/0/name", id="no DNS label"),
        pytest.param({"name": "n" * 41}, "/schedules/0/name", id="a long name"),
        pytest.param({"cron": "0 3 * *"}, "/schedules/0/cron", id="four fields"),
        pytest.param({"cron": "0 0 3 * * *"}, "/schedules/0/cron", id="six fields"),
        pytest.param({"cron": "60 3 * * *"}, "/schedules/0/cron", id="a minute that no hour has"),
        pytest.param({"cron": "0 3 * * 7"}, "/schedules/0/cron", id="a day that Kubernetes does not know"),
        pytest.param({"cron": "@daily"}, "/schedules/0/cron", id="a word"),
        pytest.param({"cron": "TZ=UTC 0 3 * * *"}, "/schedules/0/cron", id="a time zone in it"),
        pytest.param({"days": -1}, "/schedules/0/days", id="days to come"),
        pytest.param({"mode": "all"}, "/schedules/0/mode", id="an unknown mode"),
        pytest.param({"suspended": True}, "suspended", id="an unknown field"),
        pytest.param(
            {"timeZone": "Europe/Berln"}, "schedules[0].timeZone: Europe/Berln is not an IANA time zone", id="no zone"
        ),
        pytest.param({"timeZone": "Local"}, "Local is not an IANA time zone", id="the zone of a machine"),
    ],
)
def test_a_schedule_that_could_not_be_kept_is_refused(
    render: Callable[..., Any], schedule: dict[str, Any], said: str
) -> None:
    with pytest.raises(Exception, match=re.escape(said)):
        render({"schedules": [{**NIGHTLY, **schedule}]})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"schedules": [NIGHTLY, NIGHTLY]}, "two of them have the same name", id="two of one name"),
        pytest.param(
            {"schedules": [{**NIGHTLY, "name": "n" * 33}]}, "longer than the 52 characters", id="a long name in all"
        ),
        pytest.param({"apiKeys": {"scheduleKey": "night"}}, "has no key named night", id="no such key"),
    ],
)
def test_values_that_contradict_schedules_are_refused(
    render: Callable[..., Any], values: dict[str, Any], said: str
) -> None:
    with pytest.raises(Exception, match=re.escape(said)):
        render(values)


@pytest.mark.parametrize(
    "text", ["* * * * *", "*/15 8-18 * * MON-FRI", "0,30 0-23/2 1,15 jan-jun/2 *", "59 23 31 12 6", "05 03 * * sun"]
)
def test_both_understand_what_is_accepted(text: str) -> None:
    assert is_cron(text)
    assert next(CronSim(text, datetime(2026, 12, 1, tzinfo=UTC)))


@pytest.mark.parametrize("text", ["", "* * * *", "*/0 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 ? * *"])
def test_what_only_one_understands_is_not_accepted(text: str) -> None:
    assert not is_cron(text)


def test_a_day_that_never_comes_has_the_form_and_no_time() -> None:
    assert is_cron("0 0 31 2 *")
    with pytest.raises(CronSimError):
        CronSim("0 0 31 2 *", datetime(2026, 12, 1, tzinfo=UTC))

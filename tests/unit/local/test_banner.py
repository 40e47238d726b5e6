from dataclasses import replace
from pathlib import Path

import pytest
from estimatesync_local.main import format_banner
from estimatesync_local.supervisor import Paths, Ready

URL = "postgresql:///estimatesync?host=/srv/socket"
WEBHOOK = "https://hook.make.example/secret-path"


def build_ready(*, is_key_generated: bool = True, url: str | None = URL) -> Ready:
    return Ready(
        url="http://127.0.0.1:8080",
        paths=Paths(directory=Path("/srv/it is/.local")),
        is_key_generated=is_key_generated,
        embedded_database_url=url,
    )


def test_the_command_to_try_can_be_pasted() -> None:
    banner = format_banner(build_ready(), callback_url=None, schema="botzilla")

    assert (
        "curl -X POST http://127.0.0.1:8080/api/automations/estimates/sync-external "
        """-H "X-API-KEY: $(cat '/srv/it is/.local/api-key')\""""
    ) in banner


@pytest.mark.parametrize(
    ("url", "is_warned"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("http://localhost:8080", True),
        ("http://192.0.2.7:8080", False),
    ],
)
def test_it_says_where_make_cannot_reach_it(url: str, *, is_warned: bool) -> None:
    banner = format_banner(replace(build_ready(), url=url), callback_url=None, schema="botzilla")

    assert ("Make.com   cannot reach this address" in banner) is is_warned


def test_who_has_a_public_address_is_told_that_make_posts_there() -> None:
    banner = format_banner(
        build_ready(), callback_url=None, public_url="https://estimates.example.com", schema="botzilla"
    )

    assert "Make.com   posts to https://estimates.example.com/api/automations/estimates/sync-external" in banner
    assert "cannot reach" not in banner


def test_of_the_webhook_only_host_and_port_are_shown() -> None:
    banner = format_banner(build_ready(), callback_url=WEBHOOK, schema="botzilla")

    assert "posted to hook.make.example" in banner
    assert "secret-path" not in banner
    own = format_banner(build_ready(), callback_url="http://u:made-up@127.0.0.1:8091/make", schema="botzilla")
    assert "posted to 127.0.0.1:8091\n" in own
    assert "made-up" not in own


def test_the_page_is_named_where_it_is_served() -> None:
    ready = build_ready()

    banners = [
        format_banner(each, callback_url=None, schema="botzilla")
        for each in (ready, replace(ready, has_status_page=False))
    ]

    assert ["http://127.0.0.1:8080/ in a browser" in banner for banner in banners] == [True, False]


@pytest.mark.parametrize(
    ("ready", "sentence"),
    [
        pytest.param(build_ready(), "PostgreSQL in /srv/it is/.local/postgres", id="embedded"),
        pytest.param(build_ready(url=None), "in the database of DATABASE_URL", id="given-database"),
        pytest.param(build_ready(), f"""psql '{URL}' -c 'TABLE "botzilla".estimate LIMIT 5'""", id="rows"),
        pytest.param(build_ready(url=None), """psql "$DATABASE_URL" -c""", id="rows-of-a-given-database"),
        pytest.param(build_ready(is_key_generated=False), "X-API-KEY: one of your API_KEYS", id="given-key"),
        pytest.param(build_ready(), "set MAKE_SYNC_CALLBACK_WEBHOOK_URL", id="no-callback"),
    ],
)
def test_the_banner_says_where_things_are(ready: Ready, sentence: str) -> None:
    assert sentence in format_banner(ready, callback_url=None, schema="botzilla")

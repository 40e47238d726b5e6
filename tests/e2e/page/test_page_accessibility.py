"""The status page is accessible: axe-core, keyboard, small screens, dark, both languages, no scripts."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pytest
from estimatesync_demo.page_fixtures import AWAY, FAILED, KEY, RUNNING, UNDELIVERED, WAITING
from estimatesync_demo.page_pictures import serving
from playwright.sync_api import BrowserContext, Page, Route, ViewportSize, expect

Open = Callable[..., BrowserContext]
SignIn = Callable[..., Page]

PHONE = ViewportSize(width=320, height=640)
DESK = ViewportSize(width=1280, height=900)
PAGES = (
    *("/", "/?status=cancelled", "/?status=failed", "/page/trends", "/page/start", "/page/connect", "/docs"),
    *(f"/page/syncs/{RUNNING}", f"/page/syncs/{FAILED}", f"/page/syncs/{WAITING}", f"/page/syncs/{UNDELIVERED}"),
    *(f"/page/syncs/{RUNNING}/cancel", f"/page/syncs/{FAILED}/redeliver", f"/page/syncs/{RUNNING}/redeliver"),
    *("/page/nothing", "/page/syncs/none"),
)
LOOKS: Mapping[str, Sequence[tuple[ViewportSize, Literal["light", "dark"]]]] = {
    "en": ((PHONE, "dark"), (DESK, "light")),
    "es": ((PHONE, "light"), (DESK, "dark")),
}
"""What each language is looked at on: any two of language, size and colours meet on each page."""


@pytest.mark.parametrize("language", LOOKS)
def test_axe_finds_nothing_and_nothing_is_wider_than_a_small_phone_on_any_page(
    fixture_page: str,
    open_context: Open,
    sign_in: SignIn,
    find_violations: Callable[[Page], list[str]],
    language: str,
) -> None:
    found: dict[tuple[str, int, str], list[str]] = {}
    widths: dict[str, int] = {}

    def look(page: Page, name: str) -> None:
        for size, colours in LOOKS[language]:
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=colours)
            found[name, size["width"], colours] = find_violations(page)
            if size is PHONE:
                widths[name] = page.evaluate("document.documentElement.scrollWidth")

    context = open_context(viewport=PHONE, locale=language)
    signed_out = context.new_page()
    signed_out.goto(f"{fixture_page}/")
    look(signed_out, "sign-in")
    signed_out.locator("#key").fill("made-up-key-that-is-wrong")
    signed_out.locator("main form button").click()
    look(signed_out, "sign-in, wrong key")
    page = sign_in(context, fixture_page)

    for path in PAGES:
        page.set_viewport_size(PHONE)
        page.goto(f"{fixture_page}{path}")
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        look(page, path)

    assert {each: violations for each, violations in found.items() if violations} == {}
    assert {name: width for name, width in widths.items() if width > PHONE["width"]} == {}


def test_everything_is_reached_by_keyboard_and_focus_is_seen(fixture_page: str, open_context: Open) -> None:
    page = open_context(viewport=DESK).new_page()
    page.goto(f"{fixture_page}/")

    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{fixture_page}/")
    page.keyboard.press("Tab")
    skip = page.evaluate("document.activeElement.className")
    page.keyboard.press("Enter")
    outlines = []
    while "/page/syncs/" not in (page.evaluate("document.activeElement.getAttribute('href')") or ""):
        page.keyboard.press("Tab")
        outlines.append(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/page/syncs/*")

    assert skip == "skip"
    assert set(outlines) == {"solid"}
    assert len(outlines) < 12


def forget_the_tag(route: Route) -> None:
    route.continue_(headers={name: value for name, value in route.request.headers.items() if name != "if-none-match"})


def test_focus_scrolling_and_open_parts_survive_what_changes(
    fixture_page: str, open_context: Open, sign_in: SignIn
) -> None:
    page = sign_in(open_context(viewport=PHONE), fixture_page, f"/page/syncs/{RUNNING}")
    page.locator("details summary").click()
    link = page.get_by_role("link", name="Cancel the sync")
    link.focus()
    page.evaluate("window.scrollTo(0, 300)")

    # As an older answer would have left it; a poll that came before must not have the next one answered with a 304.
    page.route("**/page/syncs/*", forget_the_tag)
    page.evaluate("document.querySelector('.lead').textContent = 'old'")
    page.evaluate("document.querySelector('.timeline').lastElementChild.remove()")
    expect(page.locator(".headline .lead")).to_have_text("Running for 4m29s; about 4m to go.")

    expect(page.locator(".timeline li")).to_have_count(6)
    expect(link).to_be_focused()
    expect(page.locator("details")).to_have_attribute("open", "")
    assert page.evaluate("window.scrollY") == 300


def test_a_lost_connection_is_shown_until_it_is_back(fixture_page: str, open_context: Open, sign_in: SignIn) -> None:
    context = open_context()
    page = sign_in(context, fixture_page)
    lost = page.locator("#lost")
    expect(lost).to_be_hidden()

    context.set_offline(True)
    expect(lost).to_be_visible()
    shown = lost.inner_text()
    context.set_offline(False)

    assert shown.startswith("Connection lost: the server does not answer.")
    expect(lost).to_be_hidden()


def test_a_server_that_cannot_show_the_syncs_is_not_called_lost(
    tmp_path: Path, open_context: Open, sign_in: SignIn
) -> None:
    away = tmp_path / "away"
    with serving({AWAY: str(away)}) as url:
        page = sign_in(open_context(), url)
        lost = page.locator("#lost")
        away.touch()
        expect(lost).to_be_visible()
        shown = lost.inner_text()

        away.unlink()

        expect(lost).to_be_hidden()
        assert shown.startswith("The server answers, but it cannot show the syncs right now.")
        page.close()


def test_the_whole_row_leads_to_its_sync(fixture_page: str, open_context: Open, sign_in: SignIn) -> None:
    page = sign_in(open_context(viewport=DESK), fixture_page)
    row = page.locator("tbody tr").nth(2)
    address = row.locator("a").get_attribute("href")

    # Where nothing but the row is.
    box = row.locator("td").nth(3).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] - 3)

    page.wait_for_url(f"**{address}")
    expect(row).to_have_count(0)


def test_times_are_those_of_the_browser_from_the_first_page_on(
    fixture_page: str, open_context: Open, sign_in: SignIn
) -> None:
    loads: list[str] = []
    context = open_context(timezone_id="Asia/Tokyo")
    context.on("request", lambda request: loads.append(request.url) if request.is_navigation_request() else None)
    page = sign_in(context, fixture_page, f"/page/syncs/{RUNNING}")

    expect(page.locator(".timeline time").first).to_have_text("04:05:12")
    expect(page.locator(".zone").first).to_have_text("(Asia/Tokyo)")
    assert len([url for url in loads if url == f"{fixture_page}/page/syncs/{RUNNING}"]) == 2, (
        "asked for, then shown: never shown twice"
    )

    context.clear_cookies(name="estimatesync-zone")
    page.reload()
    expect(page.locator(".zone").first).to_have_text("(Asia/Tokyo)")


def test_the_id_of_a_sync_is_copied_with_one_click(fixture_page: str, open_context: Open, sign_in: SignIn) -> None:
    context = open_context(permissions=["clipboard-read", "clipboard-write"])
    page = sign_in(context, fixture_page, f"/page/syncs/{FAILED}")

    page.get_by_role("button", name="Copy the id of the sync").click()

    expect(page.locator("[data-copy]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == FAILED


def test_a_page_that_could_not_be_shown_comes_by_itself(tmp_path: Path, open_context: Open, sign_in: SignIn) -> None:
    away = tmp_path / "away"
    with serving({AWAY: str(away)}) as url:
        page = sign_in(open_context(), url)
        away.touch()
        page.goto(f"{url}/?status=failed")
        expect(page.get_by_role("heading", level=1)).to_have_text("The syncs cannot be shown right now")

        away.unlink()

        expect(page.get_by_role("heading", name="All is well")).to_be_visible()
        assert page.url == f"{url}/?status=failed"
        # Before its server stops: a poll in between would be refused, and fail the test.
        page.close()


def test_a_form_that_failed_is_not_sent_again_by_the_script(
    tmp_path: Path, open_context: Open, sign_in: SignIn
) -> None:
    away = tmp_path / "away"
    with serving({AWAY: str(away)}) as url:
        page = sign_in(open_context(), url, f"/page/syncs/{RUNNING}/cancel")
        away.touch()
        page.get_by_role("button", name="Cancel the sync").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Nothing was done")
        away.unlink()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))

        # As when its tab is looked at again.
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.evaluate("fetch('/healthz').then((answer) => answer.text())")
        page.get_by_role("link", name="Back to the form").click()

        expect(page.get_by_role("button", name="Cancel the sync")).to_be_visible()
        assert [each for each in asked if "/page/syncs/" in each] == [f"GET {url}/page/syncs/{RUNNING}/cancel"]
        page.close()


def test_a_page_in_the_background_asks_for_nothing(fixture_page: str, open_context: Open, sign_in: SignIn) -> None:
    context = open_context()
    context.clock.install()
    page = sign_in(context, fixture_page)
    asked: list[str] = []

    with page.expect_request(lambda request: request.headers.get("x-page-part") == "live"):
        page.evaluate(
            "Object.defineProperty(document, 'hidden', {get: () => window.away === true, configurable: true})"
        )
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("window.away = true; document.dispatchEvent(new Event('visibilitychange'))")
    context.clock.run_for(60_000)
    while_away = list(asked)
    with page.expect_request(lambda request: request.headers.get("x-page-part") == "live"):
        page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")

    assert while_away == []


def test_both_languages_say_everything_and_the_choice_is_kept(
    fixture_page: str, open_context: Open, sign_in: SignIn
) -> None:
    page = sign_in(open_context(locale="en-GB"), fixture_page, f"/page/syncs/{FAILED}")
    expect(page.get_by_role("heading", name="What to do")).to_be_visible()

    page.get_by_role("button", name="Español").click()

    expect(page.get_by_role("heading", name="Qué hacer")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "es"
    page.goto(f"{fixture_page}/page/trends")
    expect(page.get_by_role("heading", level=1)).to_have_text("Tendencias")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Trends")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_the_page_shows_the_same_with_and_without_scripts(
    fixture_page: str, open_context: Open, sign_in: SignIn, *, scripts: bool
) -> None:
    page = sign_in(open_context(java_script_enabled=scripts), fixture_page, f"/page/syncs/{RUNNING}")

    expect(page.locator(".headline .lead")).to_have_text("Running for 4m29s; about 4m to go.")
    expect(page.get_by_role("progressbar")).to_have_count(1)
    expect(page.locator("#log")).to_contain_text("Page 9 complete. Total so far: 900")
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(0 if scripts else 1)


def test_forced_colours_leave_every_state_distinguishable(
    fixture_page: str, open_context: Open, sign_in: SignIn
) -> None:
    page = sign_in(open_context(forced_colors="active"), fixture_page)

    expect(page.locator("tbody .badge").first).to_have_text("Waiting")
    assert page.evaluate("getComputedStyle(document.querySelector('.badge')).borderStyle") == "solid"

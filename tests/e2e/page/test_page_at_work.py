"""The main job as a person does it in a browser, with the whole product behind the page."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sample_attic_tech.receiver import Receiver

Open = Callable[..., BrowserContext]
SignIn = Callable[..., Page]

WAIT_SECONDS = 90.0


def start(page: Page) -> None:
    page.get_by_role("link", name="Start a sync").first.click()
    page.get_by_role("button", name="Start the sync").click()
    expect(page.get_by_text("The sync is stored, and goes on even if you close this page.")).to_be_visible()


def test_a_sync_is_started_and_watched_and_its_callback_sent_again(
    product: str, receiver: Receiver, open_context: Open, sign_in: SignIn
) -> None:
    page = sign_in(open_context(), product)
    expect(page.get_by_role("heading", name="There are no syncs yet")).to_be_visible()

    start(page)
    page.evaluate("window.isTheSamePage = true")
    bar = page.locator(".large-bar progress")
    expect(bar).to_be_visible()
    seen = bar.evaluate(
        """async (bar) => {
            const seen = new Set();
            while (bar.isConnected && seen.size < 4) {
                seen.add(bar.value);
                await new Promise((resolve) => setTimeout(resolve, 100));
            }
            return [...seen];
        }"""
    )
    expect(page.locator("#state")).to_have_text("Succeeded")
    expect(page.locator("#callback .badge")).to_have_text("Delivered")
    expect(page.get_by_text("The sync is stored, and goes on")).to_have_count(0)

    assert seen == sorted(seen)
    assert len(seen) > 1, "the bar did not move while somebody looked at it"
    assert page.evaluate("window.isTheSamePage")
    expect(page.locator("#log")).to_contain_text("Background synchronization finished. New: 1609, Updated: 0.")
    expect(page.locator("#log-state")).to_have_text("End of the log")
    expect(page.locator(".counts")).to_contain_text("1,609")
    first = receiver.wait_for(1, WAIT_SECONDS)[0]

    page.get_by_role("link", name="Send the callback again").click()
    page.get_by_role("button", name="Send it again").click()
    expect(page.get_by_text("The callback will be sent again.")).to_be_visible()
    again = receiver.wait_for(2, WAIT_SECONDS)[1]

    assert (again.headers["webhook-id"], again.body) == (first.headers["webhook-id"], first.body)


def test_a_sync_is_cancelled_and_its_days_are_offered_again(product: str, open_context: Open, sign_in: SignIn) -> None:
    page = sign_in(open_context(), product)
    start(page)
    address = page.url

    page.get_by_role("link", name="Start a sync").first.click()
    page.get_by_role("button", name="Start the sync").click()
    expect(page.get_by_text("A sync of these days is already active")).to_be_visible()
    page.get_by_role("link", name="Show that sync").click()
    page.get_by_role("link", name="Cancel the sync").click()
    page.get_by_role("button", name="Cancel the sync").click()

    assert page.url.partition("?")[0] == address
    expect(page.locator("#state")).to_have_text("Cancelled")
    expect(page.locator(".headline .lead")).to_have_text("Cancelled. The database is as it was before.")
    page.get_by_role("link", name="Sync these days again").click()
    expect(page.get_by_label("First day")).to_have_value(re.compile(r"\d{4}-\d\d-\d\d"))


def test_without_scripts_everything_works_by_refreshing(
    product: str, receiver: Receiver, open_context: Open, sign_in: SignIn
) -> None:
    page = sign_in(open_context(java_script_enabled=False, locale="es"), product)

    page.get_by_role("link", name="Iniciar una sincronización").first.click()
    page.get_by_role("button", name="Iniciar la sincronización").click()
    # The page is left alone: it refreshes itself until the sync has ended.
    expect(page.locator("#state")).to_have_text("Terminada", timeout=WAIT_SECONDS * 1000)
    expect(page.locator("#callback .badge")).to_have_text("Entregado", timeout=WAIT_SECONDS * 1000)
    receiver.wait_for(1, WAIT_SECONDS)
    page.get_by_role("link", name="Volver a enviar el callback").click()
    page.get_by_role("button", name="Volver a enviarlo").click()
    receiver.wait_for(2, WAIT_SECONDS)
    page.get_by_role("button", name="Cerrar sesión").click()

    expect(page.get_by_role("status")).to_have_text("Cerraste la sesión.")
    page.goto(f"{product}/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Iniciar sesión")


@pytest.mark.parametrize("clicks", [2])
def test_an_impatient_person_starts_one_sync(product: str, open_context: Open, sign_in: SignIn, clicks: int) -> None:
    page = sign_in(open_context(), product, "/page/start")

    page.get_by_role("button", name="Start the sync").click(click_count=clicks, delay=0)
    page.wait_for_url("**/page/syncs/*")
    page.goto(f"{product}/")

    expect(page.locator("tbody tr")).to_have_count(1)

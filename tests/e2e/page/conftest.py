"""The status page in this machine's browser. Where there is none, nothing here is tried, and the summary says so."""

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from estimatesync_demo import page_fixtures
from estimatesync_demo.browsers import ADVICE, find_browser
from estimatesync_demo.page_pictures import serving
from estimatesync_demo.server_process import build_sample_settings, running_server
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sample_attic_tech import SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import Receiver

WAIT_SECONDS = 90.0
PAGE_SECONDS = 0.5
BROWSER = find_browser()
KEY = page_fixtures.KEY
# Marks each text that looks like one before it and stands on the same grounds. axe-core would reckon its contrast anew,
# which takes most of its time on a long page, and come to the same. What is positioned may stand on anything; what is
# hidden, or scrolled out of sight, stands for nothing that is seen.
MARK_REPEATED_LOOKS = """() => {
    const looks = new Map([[null, ""]]);
    let count = 0;
    const find = (each) => {
        if (!looks.has(each)) {
            const style = getComputedStyle(each);
            const own = [
                style.color, style.background, style.opacity, style.font, style.textShadow, style.textStroke,
                style.filter, style.mixBlendMode, each.matches(":disabled, [aria-disabled], [inert]"),
                ["static", "relative"].includes(style.position) || count++,
            ];
            looks.set(each, `${find(each.parentElement)}/${own.join()}`);
        }
        return looks.get(each);
    };
    const isInside = (box, frame) =>
        box.left < frame.right && box.right > frame.left && box.top < frame.bottom && box.bottom > frame.top;
    const isSeen = (each) => {
        const box = each.getBoundingClientRect();
        for (let parent = each.parentElement; parent !== document.body; parent = parent.parentElement) {
            const isFrame = getComputedStyle(parent).overflow !== "visible";
            if (isFrame && !isInside(box, parent.getBoundingClientRect())) return false;
        }
        return box.width > 0 && box.height > 0 && each.checkVisibility({visibilityProperty: true});
    };
    const seen = new Set();
    for (const each of document.body.querySelectorAll("*")) {
        const hasText = [...each.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
        const isJudged = hasText && isSeen(each);
        each.toggleAttribute("data-repeated-look", isJudged && seen.has(find(each)));
        if (isJudged) seen.add(find(each));
    }
}"""
JUDGE_LOOKS_ONCE = "axe.configure({rules: [{id: 'color-contrast', selector: ':not([data-repeated-look])'}]})"
expect.set_options(timeout=WAIT_SECONDS * 1000)
collect_ignore_glob = [] if BROWSER else ["test_*.py"]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A pass must not look like one of these tests."""
    if BROWSER is None:
        terminalreporter.section("NOT TRIED: the status page in a browser", red=True, bold=True)
        terminalreporter.line(f"tests/e2e/page was left out, for {ADVICE}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole session: while Playwright is at work, no other test of the same process can run a loop."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=BROWSER)
        yield running
        running.close()


@pytest.fixture(scope="session")
def fixture_page() -> Iterator[str]:
    """Address of the page over made-up syncs, of which one never ends and another has failed."""
    with serving() as url:
        yield url


@pytest.fixture
def open_context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Open a browser of its own kind; whatever its pages complain about fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def listen(page: Page) -> None:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(**{"reduced_motion": "reduce", **options})
        context.set_default_timeout(WAIT_SECONDS * 1000)
        context.on("page", listen)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()
    # A page that is not there, and a line that is cut on purpose, are reported on the console by every browser.
    assert [
        text
        for text in complaints
        if not re.search("status of (4..|503)", text) and "ERR_INTERNET_DISCONNECTED" not in text
    ] == []


@pytest.fixture
def sign_in() -> Callable[..., Page]:
    """Open an address, by way of signing in."""

    def go(context: BrowserContext, url: str, path: str = "/", key: str = KEY) -> Page:
        page = context.new_page()
        page.goto(f"{url}{path}")
        page.locator("#key").fill(key)
        page.locator("main form button").click()
        page.locator('form[action="/page/sign-out"]').wait_for()
        return page

    return go


@pytest.fixture(scope="session")
def find_violations() -> Callable[[Page], list[str]]:
    """Run axe-core on a page and list its violations; a page that is looked at again keeps the one that it has.

    Of texts that look alike, the contrast of the first is reckoned.
    """
    script = Axe().axe_script

    def find(page: Page) -> list[str]:
        if not page.evaluate("'axe' in window"):
            page.evaluate(script)
            page.evaluate(JUDGE_LOOKS_ONCE)
        page.evaluate(MARK_REPEATED_LOOKS)
        found = page.evaluate("axe.run({resultTypes: ['violations']}).then((results) => results.violations)")
        return [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]]

    return find


@pytest.fixture
def product(database_url: str, receiver: Receiver) -> Iterator[str]:
    """Address of the whole product on this machine, with a source that takes its time."""
    records = build_records(1609, 7, datetime.now(UTC))
    # The hook is called for one request after the other, so pages come one by one.
    config = SampleConfig(records=records, on_request=lambda _: time.sleep(PAGE_SECONDS))
    with running_sample(config) as sample, tempfile.TemporaryDirectory(prefix="estimatesync-page-") as directory:
        environment = {
            **build_sample_settings(source_url=sample.url, callback_url=f"{receiver.url}/hook"),
            "DATABASE_URL": database_url,
            "API_KEYS": f"night-shift:{KEY}",
        }
        with running_server(Path(directory), environment) as server:
            yield server.url

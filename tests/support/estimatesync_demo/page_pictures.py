"""Takes the pictures of the status page that its documentation shows: `make screenshots`.

The page is the real one, under gunicorn, over the syncs of `page_fixtures.py`, in the browser of this machine.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from estimatesync_api.status_page.core.addresses import HOME, SIGN_OUT, TRENDS, build_sync_address
from playwright.sync_api import Browser, sync_playwright

from estimatesync_demo.browsers import ADVICE, find_browser
from estimatesync_demo.page_fixtures import FAILED, KEY, RUNNING

PICTURES: Final = Path(__file__).parents[3] / "docs" / "images"
MAX_BYTES: Final = 150_000

_DESK: Final = (1100, 760)
_PHONE: Final = (390, 844)
_START_SECONDS: Final = 20.0


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture: what it shows, and how."""

    name: str
    address: str
    size: tuple[int, int] = _DESK
    language: str = "en"
    is_dark: bool = False
    is_signed_in: bool = True


ALL: Final = (
    Picture(name="sign-in", address=HOME, is_signed_in=False, size=(1100, 620)),
    Picture(name="list", address=HOME, size=(1100, 860)),
    Picture(name="running", address=build_sync_address(RUNNING), size=(1100, 980)),
    Picture(name="failed", address=build_sync_address(FAILED), size=(1100, 860)),
    Picture(name="trends", address=TRENDS, size=(1100, 980)),
    Picture(name="spanish", address=build_sync_address(FAILED), language="es", size=(1100, 860)),
    Picture(name="dark", address=HOME, is_dark=True, size=(1100, 860)),
    Picture(name="phone-dark", address=HOME, size=_PHONE, is_dark=True),
    Picture(name="phone-running", address=build_sync_address(RUNNING), size=_PHONE),
)


def main() -> None:
    """Take them all.

    Raises:
        SystemExit: There is no browser, or a picture is too heavy for the documentation.
    """
    path = find_browser()
    if path is None:
        raise SystemExit(ADVICE)
    PICTURES.mkdir(exist_ok=True)
    with serving() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        for picture in ALL:
            file = PICTURES / f"page-{picture.name}.png"
            _take(browser, url, picture, file)
            weight = file.stat().st_size
            sys.stdout.write(f"{file.name}: {weight // 1000} kB\n")
            if weight > MAX_BYTES:
                raise SystemExit(f"{file} weighs more than {MAX_BYTES} bytes: make it smaller")
        browser.close()


@contextmanager
def serving(environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Serve the page on a port of its own; yields its address."""
    command = [sys.executable, "-m", "gunicorn", "-c", "python:estimatesync_api.gunicorn_conf"]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command, "estimatesync_demo.page_fixtures:create()"],
            env={"BIND": "127.0.0.1:0", **(environment or {})},
            stdout=log,
            stderr=log,
        )
        try:
            deadline, found = time.monotonic() + _START_SECONDS, None
            while found is None:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise SystemExit("the page could not be served")
                time.sleep(0.1)
                log.seek(0)
                found = re.search(r"Listening at: (http://\S+)", log.read())
            yield found[1]
        finally:
            process.terminate()
            process.wait()


def _take(browser: Browser, url: str, picture: Picture, file: Path) -> None:
    width, height = picture.size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale=picture.language,
        timezone_id="America/New_York",
        color_scheme="dark" if picture.is_dark else "light",
        reduced_motion="reduce",
        device_scale_factor=1,
    )
    page = context.new_page()
    page.goto(f"{url}{picture.address}")
    if picture.is_signed_in:
        page.locator("#key").fill(KEY)
        page.locator("main form button").click()
        page.locator(f'form[action="{SIGN_OUT}"]').wait_for()
    page.screenshot(path=file, animations="disabled", caret="hide")
    context.close()


if __name__ == "__main__":
    main()

"""What an open page does when a single sign-on in front of it has ended."""

from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, Route, expect

SIGN_ON = "https://login.test/"


def answer_as_a_sign_on(route: Route) -> None:
    """Redirect what the page's script asks for, and show a whole page what it would come to."""
    if route.request.headers.get("x-page-part"):
        route.fulfill(status=302, headers={"Location": SIGN_ON})
    elif route.request.resource_type == "document":
        route.fulfill(content_type="text/html", body="<title>Sign on</title>")
    else:
        route.continue_()


def test_a_page_whose_sign_on_has_ended_leads_there_by_itself(
    fixture_page: str, open_context: Callable[..., BrowserContext], sign_in: Callable[..., Page]
) -> None:
    page = sign_in(open_context(), fixture_page)

    page.route("**/*", answer_as_a_sign_on)

    expect(page).to_have_title("Sign on")

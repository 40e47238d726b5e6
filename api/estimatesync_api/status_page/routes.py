"""Adds the status page to the API's application; called by `app.py`."""

from collections.abc import Callable
from datetime import datetime

from falcon.asgi import App, Response

from estimatesync_api.adapters.key_store import KeyStore
from estimatesync_api.core.access import AccessControl
from estimatesync_api.core.ports import SyncStore
from estimatesync_api.middleware import Authentication
from estimatesync_api.request import Request
from estimatesync_api.settings import Settings
from estimatesync_api.start import SyncStarter
from estimatesync_api.status_page.action_pages import (
    CancelPageResource,
    RedeliverFailedResource,
    RedeliverPageResource,
    StartPageResource,
)
from estimatesync_api.status_page.assets import AssetResource
from estimatesync_api.status_page.connect_pages import BlueprintResource, ConnectPageResource
from estimatesync_api.status_page.core import addresses
from estimatesync_api.status_page.docs_page import DocsPageResource
from estimatesync_api.status_page.page_request import FormRefusedError
from estimatesync_api.status_page.session_middleware import SessionMiddleware, answer_refused_form
from estimatesync_api.status_page.sign_in_pages import LanguageResource, SignInResource, SignOutResource
from estimatesync_api.status_page.sync_pages import HomeResource, PageLogResource, SyncPageResource, TrendsResource
from estimatesync_api.waiter import Pause


def add_status_page(
    app: App[Request, Response],
    settings: Settings,
    store: SyncStore,
    starter: SyncStarter,
    *,
    key_store: KeyStore,
    access_control: AccessControl,
    authentication: Authentication,
    clock: Callable[[], datetime],
    pause: Pause,
) -> None:
    """Add the session middleware and the routes; middleware that is there already runs first."""
    app.add_middleware(SessionMiddleware(key_store, access_control, settings, clock=clock))
    app.add_error_handler(FormRefusedError, answer_refused_form)
    app.add_route(addresses.HOME, HomeResource(store, stale_after=settings.stale_after))
    app.add_route(addresses.TRENDS, TrendsResource(store))
    app.add_route(addresses.SIGN_IN, SignInResource(authentication, hours=settings.session_hours))
    app.add_route(addresses.SIGN_OUT, SignOutResource())
    app.add_route(addresses.LANGUAGE, LanguageResource())
    app.add_route(addresses.ASSET, AssetResource())
    app.add_route(addresses.CONNECT, ConnectPageResource())
    app.add_route(addresses.BLUEPRINT, BlueprintResource())
    app.add_route(addresses.DOCS, DocsPageResource())
    app.add_route(addresses.START, StartPageResource(starter, clock=clock))
    app.add_route(addresses.REDELIVER_FAILED, RedeliverFailedResource(store, pause=pause))
    app.add_route(addresses.SYNC, SyncPageResource(store))
    app.add_route(f"{addresses.SYNC}/{addresses.LOG_STEP}", PageLogResource(store, pause=pause))
    app.add_route(f"{addresses.SYNC}/{addresses.CANCEL_STEP}", CancelPageResource(store))
    app.add_route(f"{addresses.SYNC}/{addresses.REDELIVER_STEP}", RedeliverPageResource(store))

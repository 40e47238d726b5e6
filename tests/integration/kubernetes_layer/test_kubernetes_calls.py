"""The layer over Kubernetes' client, against a server on a socket that answers as the API server does."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from estimatesync_kubernetes.client import KubernetesClient, build_path
from estimatesync_kubernetes.connection import create_api_client
from estimatesync_kubernetes.errors import (
    ConflictError,
    GoneError,
    KubernetesError,
    NotFoundError,
    ThrottledError,
    UnreachableError,
)
from estimatesync_kubernetes.watch import open_watch, parse_metadata

PODS = build_path("v1", "place", "pods")
TOKEN = "made-up-token"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Act = Callable[[KubernetesClient], Awaitable[object]]
Ask = Callable[[Handler, Act], object]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Serve with a handler, and act with a client that a kubeconfig leads there."""

    async def run(handler: Handler, act: Act) -> object:
        async with AsyncExitStack() as stack:
            application = web.Application()
            application.router.add_route("*", "/{path:.*}", handler)
            runner = web.AppRunner(application, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            client = await stack.enter_async_context(await connect(port))
            return await act(client)

    async def connect(port: int) -> KubernetesClient:
        config = {
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "u", "user": {"token": TOKEN}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "place"}}],
            "current-context": "c",
        }
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(config))
        api_client, namespace = await create_api_client(kubeconfig=str(path))
        assert namespace == "place"
        return KubernetesClient(api_client, timeout_seconds=1.0)

    return lambda handler, act: asyncio.run(run(handler, act))


def test_a_call_carries_the_token_and_its_body_comes_back(ask: Ask) -> None:
    seen: list[object] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append((request.method, request.path_qs, request.headers["Authorization"], request.content_type))
        seen.append(await request.json())
        return web.json_response({"kind": "Pod"}, status=201)

    body = ask(handle, lambda client: client.patch(f"{PODS}/a/status", {"x": 1}, {"fieldManager": "me"}))

    assert json.loads(str(body, "ascii") if isinstance(body, bytes) else "") == {"kind": "Pod"}
    assert seen == [
        (
            "PATCH",
            "/api/v1/namespaces/place/pods/a/status?fieldManager=me",
            f"Bearer {TOKEN}",
            "application/merge-patch+json",
        ),
        {"x": 1},
    ]


def test_a_listing_comes_in_pages_that_name_one_version(ask: Ask) -> None:
    pages = {
        None: {"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [{"metadata": {"name": "a"}}]},
        "more": {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "b"}}]},
    }

    async def handle(request: web.Request) -> web.Response:
        assert (request.query["limit"], request.query["labelSelector"]) == ("500", "x=y")
        return web.json_response(pages[request.query.get("continue")])

    async def act(client: KubernetesClient) -> object:
        found = [page async for page in client.list_pages(PODS, {"labelSelector": "x=y"})]
        return [(page.version, parse_metadata(raw).name) for page in found for raw in page.items]

    assert ask(handle, act) == [("7", "a"), ("7", "b")]


def test_a_deletion_names_the_uid_that_it_means(ask: Ask) -> None:
    seen: list[object] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.json_response({"kind": "Status", "reason": "Conflict", "message": "uid"}, status=409)

    with pytest.raises(ConflictError, match="HTTP 409: uid"):
        ask(handle, lambda client: client.delete(f"{PODS}/a", propagation="Background", uid="u-1"))

    assert seen == [
        {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
            "preconditions": {"uid": "u-1"},
        }
    ]


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        pytest.param(404, {"message": "no a", "details": {"name": "a"}}, NotFoundError, "HTTP 404: no a", id="404"),
        pytest.param(429, {"message": "wait"}, ThrottledError, "HTTP 429: wait", id="429"),
        pytest.param(503, {}, KubernetesError, "HTTP 503: Service Unavailable", id="no words"),
    ],
)
def test_a_failure_is_a_typed_error_with_the_wait_that_is_asked_for(
    ask: Ask, status: int, body: object, kind: type[KubernetesError], message: str
) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response(body, status=status, headers={"Retry-After": "3"})

    with pytest.raises(kind, match=message) as caught:
        ask(handle, lambda client: client.get(f"{PODS}/a"))

    assert getattr(caught.value, "retry_after", None) == timedelta(seconds=3)


def test_a_server_that_hangs_is_unreachable(ask: Ask) -> None:
    async def handle(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    with pytest.raises(UnreachableError, match="TimeoutError"):
        ask(handle, lambda client: client.get(PODS))


def _event(kind: str, version: str, **more: object) -> bytes:
    return json.dumps(
        {"type": kind, "object": {"metadata": {"name": "a", "resourceVersion": version}, **more}}
    ).encode()


def test_a_watch_yields_events_and_ends_with_what_the_server_says(ask: Ask) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        assert (request.query["watch"], request.query["resourceVersion"]) == ("true", "7")
        response = web.StreamResponse()
        await response.prepare(request)
        for line in (_event("ADDED", "8"), _event("BOOKMARK", "9"), _event("ERROR", "", code=410, reason="Expired")):
            await response.write(line + b"\n")
        return response

    seen: list[tuple[str, str]] = []

    async def act(client: KubernetesClient) -> object:
        async with open_watch(client, PODS, version="7") as events:
            async for event in events:
                version = parse_metadata(event.object).resource_version
                seen.append((event.type, version))
        return None

    with pytest.raises(GoneError):
        ask(handle, act)
    assert seen == [("ADDED", "8"), ("BOOKMARK", "9")]


def test_a_stream_that_falls_silent_is_a_dead_connection(ask: Ask) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        await asyncio.sleep(60)
        return response

    seen: list[bytes] = []

    async def act(client: KubernetesClient) -> object:
        async with client.stream(PODS, silence_seconds=0.2) as lines:
            async for line in lines:
                seen.append(line)  # noqa: PERF401 - what came before the failure counts
        return None

    with pytest.raises(UnreachableError):
        ask(handle, act)
    assert seen == [b"one\n"]

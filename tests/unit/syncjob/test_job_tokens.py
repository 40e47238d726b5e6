"""A token may serve a few requests, or until somebody else logs in; what nothing accepts is a missing right."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import msgspec
import pytest
from estimatesync_job.adapters.attic_tech import AtticTech
from estimatesync_job.core.errors import LoginFailedError, SourceInvalidError, SourceUnavailableError, SyncError
from estimatesync_job.core.pages import FetchedPage
from estimatesync_job.core.ports import Level
from estimatesync_job.core.queries import PageQuery
from estimatesync_job.core.retry_delay import RetryPolicy
from estimatesync_job.settings import parse_settings

SETTINGS = parse_settings({
    "SYNC_ID": "s", "SYNC_UID": "u", "SYNC_START_DATE": "2025-09-01", "SYNC_END_DATE": "2025-10-16",
    "SYNC_CONCURRENCY": "8", "ATTIC_TECH_URL": "http://sample.example", "ATTIC_TECH_EMAIL": "sync@attic-tech.example",
    "ATTIC_TECH_PASSWORD": "made-up-password", "DATABASE_URL": "postgresql://nowhere",
})  # fmt: skip


class SilentLog:
    def write(self, action: str, message: str, *, level: Level = "info", **fields: str | float) -> None:
        assert action and message and level and fields is not None  # noqa: PT018 - nothing to distinguish


@dataclass
class Gate:
    """Decides how Attic Tech answers a listing: by the token, its number, and how many requests came with it."""

    accepts: Callable[[int, int], bool]
    status: int = 403
    logins: int = 0
    served: dict[int, int] = field(default_factory=dict)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        if request.method == "POST":
            self.logins += 1
            return httpx.Response(200, json={"token": f"token-{self.logins}"})
        number = int(request.headers["authorization"].rpartition("-")[2])
        self.served[number] = self.served.get(number, 0) + 1
        is_accepted = self.accepts(number, self.served[number])
        # A refusal is quick, a page takes its time.
        for _ in range(9 if is_accepted else 1):
            await asyncio.sleep(0)
        if is_accepted:
            page = int(request.url.params["page"])
            return httpx.Response(200, content=msgspec.json.encode({"docs": [{"id": 1000 - page}], "page": page}),
                                  headers={"Content-Type": "application/json"})  # fmt: skip
        return httpx.Response(self.status, json={"errors": [{"message": "You are not allowed."}]})


def read_pages(gate: Gate, *, pages: int = 40) -> None:
    """Log in and read pages, eight at a time."""

    async def read() -> None:
        transport = httpx.MockTransport(gate.answer)
        async with httpx.AsyncClient(transport=transport, base_url=SETTINGS.attic_tech_url) as client:
            source = AtticTech(client, SETTINGS, policy=RetryPolicy(first_delay=0.0), log=SilentLog())
            await source.login()
            queries = [PageQuery(page=page, number=page, limit=1) for page in range(1, pages + 1)]
            fetched = await asyncio.gather(*map(source.fetch_page, queries))
            assert [page.last for page in fetched] == [1000 - query.page for query in queries]

    asyncio.run(read())


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    "accepts",
    [
        pytest.param(lambda _, request: request <= 3, id="three-requests-each"),
        pytest.param(lambda _, request: request == 1, id="one-request-each"),
        pytest.param(lambda token, request: request <= 5 and token % 3 != 0, id="some-are-never-accepted"),
        pytest.param(lambda token, _: token >= 2, id="the-first-is-never-accepted"),
        pytest.param(
            lambda token, request: token >= 9 or (token == 1 and request <= 8), id="logins-elsewhere-for-a-while"
        ),
    ],
)
def test_tokens_that_serve_a_few_requests_each_read_everything(
    accepts: Callable[[int, int], bool], status: int
) -> None:
    read_pages(Gate(accepts=accepts, status=status))


@pytest.mark.parametrize(
    ("status", "kind"),
    [pytest.param(401, LoginFailedError, id="401"), pytest.param(403, SourceInvalidError, id="403")],
)
def test_two_tokens_that_no_answer_accepts_are_a_missing_right(status: int, kind: type[SyncError]) -> None:
    gate = Gate(accepts=lambda _token, _request: False, status=status)

    with pytest.raises(kind, match=f"HTTP {status}"):
        read_pages(gate)

    assert gate.logins == 2


def test_the_clock_is_that_of_answers_and_not_of_errors_in_front_of_them() -> None:
    responses = [
        httpx.Response(502, headers={"Date": "Thu, 16 Oct 2025 13:00:00 GMT"}),
        httpx.Response(200, headers={"Date": "Thu, 16 Oct 2025 12:00:00 GMT"}, json={"token": "t"}),
        httpx.Response(200, headers={"Date": "Thu, 16 Oct 2025 11:59:59 GMT"}, json={"docs": []}),
    ]

    async def read() -> FetchedPage:
        transport = httpx.MockTransport(lambda _: responses.pop(0))
        async with httpx.AsyncClient(transport=transport, base_url=SETTINGS.attic_tech_url) as client:
            source = AtticTech(client, SETTINGS, policy=RetryPolicy(first_delay=0.0), log=SilentLog())
            await source.login()
            return await source.fetch_page(PageQuery(page=1, number=1, limit=1))

    page = asyncio.run(read())

    assert page.asked_at == datetime(2025, 10, 16, 12, tzinfo=UTC)
    assert page.answered_at == datetime(2025, 10, 16, 11, 59, 59, tzinfo=UTC)


def test_a_right_that_is_lost_half_way_ends_after_so_many_logins_and_may_be_retried() -> None:
    gate = Gate(accepts=lambda token, request: token == 1 and request <= 12)

    with pytest.raises(SourceUnavailableError, match="See what else logs in as ATTIC_TECH_EMAIL"):
        read_pages(gate)

    assert 11 <= gate.logins <= 13

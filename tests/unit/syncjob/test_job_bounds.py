"""What never ends, or unpacks to far more than it weighs, is refused before it fills the memory or the disk."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator

import httpx
import msgspec
import pytest
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_job.adapters.attic_tech import AtticTech
from estimatesync_job.core.closing_pass import PassResult, next_result
from estimatesync_job.core.coverage import MAX_RECORDS, MAX_STALLED, FetchState, next_state
from estimatesync_job.core.errors import SourceInvalidError, SyncError
from estimatesync_job.core.page_plan import build_plan
from estimatesync_job.core.pages import FetchedPage
from estimatesync_job.core.ports import Level
from estimatesync_job.core.queries import PageQuery
from estimatesync_job.core.retry_delay import RetryPolicy
from estimatesync_job.core.rows import Rows
from estimatesync_job.settings import parse_settings

SETTINGS = parse_settings({
    "SYNC_ID": "s", "SYNC_UID": "u", "SYNC_START_DATE": "2025-09-01", "SYNC_END_DATE": "2025-10-16",
    "SYNC_MAX_PAGE_MEGABYTES": "12", "ATTIC_TECH_URL": "http://sample.example",
    "ATTIC_TECH_EMAIL": "sync@attic-tech.example", "ATTIC_TECH_PASSWORD": "made-up-password",
    "DATABASE_URL": "postgresql://nowhere",
})  # fmt: skip
BLANKS = b" " * 1_000_000


class SilentLog:
    def write(self, action: str, message: str, *, level: Level = "info", **fields: str | float) -> None:
        assert action and message and level and fields is not None  # noqa: PT018 - nothing to distinguish


class Chunks(httpx.AsyncByteStream):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


def split(body: bytes) -> Iterator[bytes]:
    return (body[start : start + 65_536] for start in range(0, len(body), 65_536))


def endless() -> Iterator[bytes]:
    while True:
        yield BLANKS


def answer(chunks: Iterator[bytes], **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, headers={"Content-Type": "application/json"} | named, stream=Chunks(chunks))


def fetch(login: httpx.Response, page: httpx.Response) -> FetchedPage:
    """Log in and read a page; requests after the first of a kind would find their answer read."""

    async def run() -> FetchedPage:
        transport = httpx.MockTransport(lambda request: login if request.method == "POST" else page)
        async with httpx.AsyncClient(transport=transport, base_url=SETTINGS.attic_tech_url) as client:
            source = AtticTech(client, SETTINGS, policy=RetryPolicy(attempts=1), log=SilentLog())
            await source.login()
            return await source.fetch_page(PageQuery(page=1, number=1, limit=10))

    return asyncio.run(run())


def let_in() -> httpx.Response:
    return answer(split(b'{"token":"t"}'))


def packed(megabytes: int) -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    return b"".join([*(packer.compress(BLANKS) for _ in range(megabytes)), packer.flush()])


@pytest.mark.parametrize("megabytes", [13, 120])
@pytest.mark.parametrize("what", ["login", "page"])
def test_what_unpacks_to_far_more_than_it_weighs_is_refused_in_little_memory(what: str, megabytes: int) -> None:
    bomb = answer(split(packed(megabytes)), content_encoding="gzip")
    tracemalloc.start()

    with pytest.raises(SourceInvalidError, match=r"more than 1[02] MB, unpacked") as raised:
        fetch(*((bomb, let_in()) if what == "login" else (let_in(), bomb)))

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000_000
    assert ("SYNC_MAX_PAGE_MEGABYTES" in str(raised.value)) is (what == "page")


@pytest.mark.parametrize("what", ["login", "page"])
def test_a_body_that_never_ends_is_refused(what: str) -> None:
    with pytest.raises(SourceInvalidError, match="unpacked"):
        fetch(*((answer(endless()), let_in()) if what == "login" else (let_in(), answer(endless()))))


@pytest.mark.parametrize("coding", ["br", "zstd", "x-gzip", "gzip, gzip", "deflate,gzip", "compress"])
def test_a_coding_that_was_not_asked_for_is_refused(coding: str) -> None:
    body = gzip.compress(gzip.compress(b'{"docs":[]}'))

    with pytest.raises(SyncError, match="Accept-Encoding: gzip, deflate") as raised:
        fetch(let_in(), answer(split(body), content_encoding=coding))
    assert raised.value.cause is SpecificCause.ANSWER_REPACKED


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        pytest.param(gzip.compress(b'{"docs":[{"id":1}]}'), "gzip", id="gzip"),
        pytest.param(zlib.compress(b'{"docs":[{"id":1}]}'), "deflate", id="deflate"),
        pytest.param(b'{"docs":[{"id":1}]}', "identity", id="identity"),
        pytest.param(gzip.compress(b" " * 11_000_000 + b'{"docs":[{"id":1}]}'), "GZip", id="just-within"),
    ],
)
def test_what_fits_is_read(body: bytes, coding: str) -> None:
    assert fetch(let_in(), answer(split(body), content_encoding=coding)).records == 1


def build_page(page: int, last: int, *, total_pages: int | None = None, records: int = 1) -> FetchedPage:
    return FetchedPage(
        page=page, limit=100, total_pages=total_pages, has_more=True, size_bytes=1, seconds=0.1, rows=Rows(),
        problems=(None,) * records, first=last + 9, last=last,  # type: ignore[arg-type] # counted only
    )  # fmt: skip


@pytest.mark.parametrize("total_pages", [125_000_000, None])
def test_more_records_than_there_can_be_are_refused_whatever_is_announced(total_pages: int | None) -> None:
    state = next_state(FetchState(plan=build_plan(page_size=100, ahead=4)), build_page(1, 999, total_pages=total_pages))
    state = msgspec.structs.replace(state, records=MAX_RECORDS)

    with pytest.raises(SourceInvalidError, match="reads at most"):
        next_state(state, build_page(2, 900))


def test_more_records_than_there_can_be_are_refused_in_a_closing_pass() -> None:
    with pytest.raises(SourceInvalidError, match="reads at most"):
        next_result(PassResult(queries=1, since=None, records=MAX_RECORDS), build_page(0, 900, records=1))


def test_pages_that_get_no_further_are_read_by_id_instead() -> None:
    state = next_state(FetchState(plan=build_plan(page_size=100, ahead=4)), build_page(1, 900, total_pages=125_000_000))

    while not state.is_over:
        state = next_state(state, build_page(state.pages + 1, 900))

    assert state.pages == 1 + MAX_STALLED


def test_pages_that_are_shifted_now_and_then_are_read_on() -> None:
    state = next_state(FetchState(plan=build_plan(page_size=100, ahead=4)), build_page(1, 900, total_pages=90))

    for number in range(2, 60):
        state = next_state(state, build_page(number, 900 - number // 5))

    assert not state.is_over

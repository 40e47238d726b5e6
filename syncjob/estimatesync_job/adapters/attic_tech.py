"""Attic Tech over HTTP: logs in, requests pages, retries, and logs in again when its token has expired.

`sync` and `transfer` decide which pages. `core.responses` says what a response means, `retry` sends requests again, and
`adaptive_concurrency` bounds how many are in flight.
"""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx
from estimatesync_contract import log_lines
from estimatesync_contract.attic_tech import ESTIMATES_PATH, LOGIN_PATH
from estimatesync_contract.foreign_text import clean_line
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_contract.timestamps import parse_http_date
from estimatesync_contract.tls_trust import UNREADABLE

from estimatesync_job.adapters.adaptive_concurrency import AdaptiveLimiter
from estimatesync_job.adapters.bodies import ACCEPT_ENCODING, MEGABYTE, give_large_bodies_back, read_body
from estimatesync_job.adapters.retry import Retries
from estimatesync_job.core.connection_errors import build_connection_error
from estimatesync_job.core.deletions import MAX_WHOLE_IDS, FoundIds, TooManyIdsError
from estimatesync_job.core.errors import (
    ConfigurationError,
    SourceInvalidError,
    SourceUnavailableError,
    TransientSourceError,
)
from estimatesync_job.core.pages import (
    CLOSING_PAGE,
    IDS_PAGE,
    AnyPageBody,
    FetchedPage,
    compute_later,
    find_differences,
    format_place,
    map_ids,
    map_page,
)
from estimatesync_job.core.ports import Log
from estimatesync_job.core.queries import (
    FIELDS_QUERY,
    IDS_FIELDS_QUERY,
    ChangesQuery,
    IdsQuery,
    PageQuery,
    build_changes_query,
    build_ids_query,
    build_page_query,
)
from estimatesync_job.core.responses import (
    FieldsDoubtedError,
    Response,
    Token,
    TokenRefusedError,
    build_access_error,
    may_refuse_fields,
    parse_page_response,
    parse_token,
)
from estimatesync_job.core.retry_delay import RetryPolicy
from estimatesync_job.core.unshown import FIELDS
from estimatesync_job.settings import Settings

EXCHANGE_SECONDS: Final = 120.0
"""For one request and its whole response; a full page at this depth can take Attic Tech most of a minute."""

_MAX_VAIN_RENEWALS: Final = 10
"""Tokens in a row that no answer accepts: on a slow line, some expire before a request arrives."""

_COMPARED: Final = 10
"""Records of the first response that are asked for whole, too, where fields are named: few, because they are heavy."""

_MAX_IDS_FAILURES: Final = 3
"""Failures of questions that name `select[id]`, none of them answered yet: one or two may pass by themselves."""

_MAX_LOGIN_BYTES: Final = 10 * MEGABYTE
"""A login's answer holds the user, populated as deep as its collection says."""

_LOGIN_ADVICE: Final = "No login needs that: check ATTIC_TECH_URL, and what answers in front of Attic Tech."
_TOO_LARGE: Final = SpecificCause.ANSWER_TOO_LARGE

_HEADER_LENGTH: Final = 2000

_TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0, write=10.0)


@dataclass(frozen=True, kw_only=True)
class _Request:
    """A list request.

    Attributes:
        page: its place as people see it.
        number: the page's for Attic Tech, if it has one.
        parameters: its query string.
        fields: the part of the query string that names fields; empty for whole records.
    """

    page: int
    number: int | None
    parameters: Mapping[str, str]
    fields: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """A page as it came; when it was asked for by the server's clock, how long it took, and whether by fields."""

    response: Response
    content: AnyPageBody
    asked_at: datetime | None
    seconds: float
    names_fields: bool


class _StaleTokenError(Exception):
    """A request was refused with this token; the session may have a newer one by now."""

    def __init__(self, token: Token, refusal: TokenRefusedError) -> None:
        super().__init__(str(refusal))
        self.token = token
        self.refusal = refusal


class AtticTech:
    """One logged-in session; safe to use for several pages at once."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        settings: Settings,
        *,
        policy: RetryPolicy,
        log: Log,
        exchange_seconds: float = EXCHANGE_SECONDS,
        ends_at: float = math.inf,
    ) -> None:
        self._client: Final = client
        # Put together once: httpx parses an address anew at each step of building it.
        self._estimates_url: Final = client.build_request("GET", ESTIMATES_PATH).url
        self._settings: Final = settings
        self._log: Final = log
        self._login_lock: Final = asyncio.Lock()
        self._token = Token(text="", expires_at=None)
        self._has_listed = False
        self._names_fields = settings.selects_fields
        self._names_ids = True
        self._ids_failures = 0
        self._accepted_fields: Final[list[Mapping[str, str]]] = []
        self._comparison: asyncio.Event | None = None
        self._vain_renewals = 0
        self._exchange_seconds: Final = exchange_seconds
        self._clock: datetime | None = None
        self._limiter: Final = AdaptiveLimiter(settings.concurrency)
        self._retries: Final = Retries(policy, log=log, ends_at=ends_at)

    async def login(self) -> datetime | None:
        """Get a token, and say what Attic Tech's clock showed then; None where its answers have no Date.

        Raises:
            SyncError: LoginFailed, SourceInvalid or SourceUnavailable.
        """
        self._log.write("logging_in", log_lines.LOGGING_IN)
        self._token = await self._retries.run("The login", self._request_token)
        self._log.write("logged_in", log_lines.LOGGED_IN)
        return self._clock

    async def fetch_page(self, query: PageQuery) -> FetchedPage:
        """Request one page and map its records.

        Raises:
            SyncError: LoginFailed, SourceInvalid or SourceUnavailable.
        """
        page = query.page
        self._log.write("fetching_page", log_lines.format_fetching(page), page=page)
        parameters = build_page_query(query, bounds=self._settings.day_bounds)
        fetched = await self._fetch(
            _Request(page=page, number=query.number, parameters=parameters, fields=FIELDS_QUERY)
        )
        message = log_lines.format_received(page, fetched.size_bytes)
        self._log.write("page_received", message, page=page, size_bytes=fetched.size_bytes)
        return fetched

    async def fetch_changes(self, query: ChangesQuery) -> FetchedPage:
        """Request what a closing pass looks for.

        Raises:
            SyncError: LoginFailed, SourceInvalid or SourceUnavailable.
        """
        self._log.write("asking_for_changes", log_lines.ASKING_FOR_CHANGES)
        parameters = build_changes_query(query, bounds=self._settings.day_bounds)
        return await self._fetch(_Request(page=CLOSING_PAGE, number=None, parameters=parameters, fields=FIELDS_QUERY))

    async def _fetch(self, request: _Request) -> FetchedPage:
        """Fetch a response; what is asked for by fields counts only after some whole records have shown the same.

        Payload leaves fields out before its hooks run, so that a value computed from them is another without them.
        """
        if not self._names_fields:
            return await self._fetch_with_valid_token(request)
        if self._comparison is None:
            self._comparison = asyncio.Event()
            fetched = await self._fetch_and_compare(request)
            self._comparison.set()
        else:
            fetched = await self._fetch_with_valid_token(request)
            await self._comparison.wait()
        return fetched if fetched.is_whole or self._names_fields else await self._fetch_with_valid_token(request)

    async def _fetch_and_compare(self, request: _Request) -> FetchedPage:
        few = replace(request, parameters={**request.parameters, "limit": str(_COMPARED)}, fields={})
        fetched, whole = await asyncio.gather(self._fetch_with_valid_token(request), self._fetch_with_valid_token(few))
        differences = None if fetched.is_whole else find_differences(fetched, whole)
        if differences:
            fields = ", ".join(sorted(FIELDS.get(column, column) for column in differences))
            self._give_up_fields(f"shows other values of {fields} where it is asked for fields")
        elif differences is None:
            # Where nothing can be compared, little has come, and whole records cost little.
            self._names_fields = False
        return fetched

    async def fetch_ids(self, query: IdsQuery) -> FoundIds:
        """Request estimates by their ids.

        Raises:
            TooManyIdsError: Whole estimates would come; ask for MAX_WHOLE_IDS at most.
            SyncError: LoginFailed, SourceInvalid or SourceUnavailable.
        """
        if self._names_ids:
            try:
                return await self._fetch_ids(query, fields=IDS_FIELDS_QUERY)
            except FieldsDoubtedError:
                self._names_ids = False
        if len(query.ids) > MAX_WHOLE_IDS:
            raise TooManyIdsError
        return await self._fetch_ids(query, fields={})

    async def _fetch_ids(self, query: IdsQuery, *, fields: Mapping[str, str]) -> FoundIds:
        parameters = build_ids_query(query)
        request = _Request(page=IDS_PAGE, number=None, parameters=parameters, fields=fields)
        answer = await self._ask_with_valid_token(request)
        return map_ids(answer.content, limit=int(parameters["limit"]))

    async def _fetch_with_valid_token(self, request: _Request) -> FetchedPage:
        return self._map_page(request, await self._ask_with_valid_token(request))

    async def _ask_with_valid_token(self, request: _Request) -> _Answer:
        while True:
            try:
                answer = await self._ask_once(request)
            except _StaleTokenError as stale:
                await self._renew(stale, request.page)
            else:
                self._has_listed, self._vain_renewals = True, 0
                return answer

    async def _ask_once(self, request: _Request) -> _Answer:
        what = format_place(request.page)
        return await self._retries.run(what[0].upper() + what[1:], lambda: self._request_page(request))

    async def _renew(self, stale: _StaleTokenError, page: int) -> None:
        """Log in once for all pages in flight: the second finds a new token already.

        A token may serve just a few requests, or until somebody else logs in: as long as some answer accepts each one,
        or each few, the sync gets on. Only where none has ever been accepted does the account lack the right.

        Raises:
            SyncError: LoginFailed or SourceInvalid, where another token would be refused, too; SourceUnavailable.
        """
        async with self._login_lock:
            if self._token != stale.token:
                return
            # One that has expired says nothing about what the account may do.
            if self._vain_renewals and not self._has_listed and not stale.token.has_expired(self._retries.clock):
                raise build_access_error(stale.refusal) from stale
            if self._vain_renewals == _MAX_VAIN_RENEWALS:
                raise SourceUnavailableError(
                    f"Attic Tech is not available. Each of {_MAX_VAIN_RENEWALS} tokens had expired before "
                    f"{format_place(page)} was asked for, or was refused. See what else logs in as ATTIC_TECH_EMAIL.",
                    cause=SpecificCause.TOKENS_EXPIRE,
                )
            self._vain_renewals += 1
            await self.login()

    async def _request_token(self) -> Token:
        credentials = {"email": self._settings.attic_tech_email, "password": self._settings.attic_tech_password}
        request = self._client.build_request("POST", LOGIN_PATH, json=credentials)
        return parse_token(await self._exchange(request, max_bytes=_MAX_LOGIN_BYTES, advice=_LOGIN_ADVICE))

    async def _request_page(self, asked: _Request) -> _Answer:
        # A login is quicker than any page, so it would set a measure that no page meets.
        async with self._limiter.slot():
            await self._retries.wait_while_paused()
            token = self._token
            try:
                return await self._send_in_either_way(asked, token)
            except TokenRefusedError as refusal:
                raise _StaleTokenError(token, refusal) from refusal

    def _map_page(self, asked: _Request, answer: _Answer) -> FetchedPage:
        return map_page(
            answer.content,
            page=asked.page,
            limit=int(asked.parameters["limit"]),
            size_bytes=len(answer.response.body),
            seconds=answer.seconds,
            end=self._settings.day_bounds.end,
            asked_at=answer.asked_at,
            answered_at=parse_http_date(answer.response.headers.get("date")),
            is_whole=not answer.names_fields,
        )

    async def _send_in_either_way(self, asked: _Request, token: Token) -> _Answer:
        """Name fields where that is chosen; where these may be what is refused, ask for whole records at once.

        If whole records fail, too, fields are not the cause: they are named again, and that failure counts. Whole
        estimates in place of their ids alone are too heavy for that, so that `fetch_ids` decides about these.
        """
        asks_for_ids = asked.page == IDS_PAGE
        if not (asked.fields and (self._names_fields or asks_for_ids)):
            return await self._send(asked, token, names_fields=False)
        try:
            answer = await self._send(asked, token, names_fields=True)
        except FieldsDoubtedError as doubt:
            if asks_for_ids:
                raise
            answer = await self._send(asked, token, names_fields=False)
            self._give_up_fields(f"refuses to be asked for fields ({doubt})")
        else:
            if asked.fields not in self._accepted_fields:
                self._accepted_fields.append(asked.fields)
        return answer

    async def _send(self, asked: _Request, token: Token, *, names_fields: bool) -> _Answer:
        """Send it once.

        Raises:
            FieldsDoubtedError: Whole records may be sent.
            TokenRefusedError: Log in again.
            TransientSourceError: Another attempt may help.
            SourceInvalidError: It would not.
        """
        parameters = {**asked.parameters, **(asked.fields if names_fields else {})}
        headers = {"Authorization": f"Bearer {token.text}"}
        url = self._estimates_url.copy_merge_params(parameters)
        request = self._client.build_request("GET", url, headers=headers)
        asked_at, started = self._clock, asyncio.get_running_loop().time()
        response: Response | None = None
        try:
            response = await self._exchange(
                request, max_bytes=self._settings.max_page_bytes, advice=f"{_TOO_LARGE.cure}.", too_large=_TOO_LARGE
            )
            seconds = asyncio.get_running_loop().time() - started
            content = parse_page_response(response, number=asked.number)
        except (TokenRefusedError, TransientSourceError, SourceInvalidError) as fault:
            are_doubted = may_refuse_fields(response, were_accepted=asked.fields in self._accepted_fields)
            if names_fields and are_doubted and not (asked.page == IDS_PAGE and self._may_pass(fault)):
                raise FieldsDoubtedError(str(fault).rstrip(".")) from fault
            raise
        return _Answer(
            response=response, content=content, asked_at=asked_at, seconds=seconds, names_fields=names_fields
        )

    def _may_pass(self, fault: Exception) -> bool:
        """Whether a question for ids may succeed just as it is."""
        self._ids_failures += 1
        return not isinstance(fault, SourceInvalidError) and self._ids_failures < _MAX_IDS_FAILURES

    def _give_up_fields(self, cause: str) -> None:
        """Ask for whole records from now on; of the requests in flight only the first to be refused says so."""
        if self._names_fields:
            self._names_fields = False
            message = f"⚠️ [SYNC] Attic Tech {cause}: asking for whole records"
            self._log.write("whole_records", message, level="warning")

    async def _exchange(
        self, request: httpx.Request, *, max_bytes: int, advice: str, too_large: SpecificCause | None = None
    ) -> Response:
        try:
            async with asyncio.timeout(self._exchange_seconds), self._receiving(request) as received:
                body = await read_body(received, max_bytes=max_bytes, advice=advice, too_large=too_large)
        except TimeoutError as error:
            raise TransientSourceError(
                f"no complete answer within {self._exchange_seconds:g} s", cause=SpecificCause.SOURCE_TOO_SLOW
            ) from error
        except httpx.HTTPError as error:
            raise build_connection_error(
                error, url=self._settings.attic_tech_url, proxy=self._settings.attic_tech_proxy
            ) from error
        headers = {
            name.lower(): clean_line(value, max_length=_HEADER_LENGTH) for name, value in received.headers.items()
        }
        # Time never goes back: responses overtake each other, and several servers have several clocks.
        shown = parse_http_date(headers.get("date"))
        self._retries.clock = compute_later(self._retries.clock, shown)
        if received.is_success:
            # An error may be dated by what stands in front of Attic Tech, and nothing is proved by such a clock.
            self._clock = compute_later(self._clock, shown)
        return Response(status=received.status_code, headers=headers, body=body)

    @asynccontextmanager
    async def _receiving(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        """Send a request and read the head of its response; leaving the block ends the body, read or not."""
        received = await self._client.send(request, stream=True)
        try:
            yield received
        finally:
            await received.aclose()


@asynccontextmanager
async def open_attic_tech(
    settings: Settings,
    *,
    log: Log,
    client: httpx.AsyncClient | None = None,
    policy: RetryPolicy | None = None,
    exchange_seconds: float = EXCHANGE_SECONDS,
    ends_at: float = math.inf,
) -> AsyncIterator[AtticTech]:
    """Open a session; nothing is sent yet.

    By the loop's clock, the sync must have ended at `ends_at`: no attempt is made that would come later.

    Raises:
        ConfigurationError: The authorities to trust are needed and cannot be read.
    """
    give_large_bodies_back()
    async with client or create_client(settings) as opened:
        yield AtticTech(
            opened,
            settings,
            policy=policy or RetryPolicy(),
            log=log,
            exchange_seconds=exchange_seconds,
            ends_at=ends_at,
        )


def create_client(settings: Settings) -> httpx.AsyncClient:
    """Create what sends the requests. Redirects are not followed: they could carry the token elsewhere.

    Raises:
        ConfigurationError: The authorities to trust are needed and cannot be read.
    """
    return httpx.AsyncClient(
        verify=_create_tls_context(settings.attic_tech_url),
        # The settings know the proxy; httpx would read the environment by itself, and break on what it cannot read.
        proxy=settings.attic_tech_proxy,
        trust_env=False,
        base_url=settings.attic_tech_url,
        timeout=_TIMEOUT,
        limits=httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency),
        headers={
            "Accept": "application/json",
            "Accept-Encoding": ACCEPT_ENCODING,
            "Accept-Language": "en",
            "User-Agent": "estimatesync",
        },
        # Payload sets its token as a cookie, too: an old one must not accompany a new header.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def _create_tls_context(url: str) -> ssl.SSLContext:
    """Trust the authorities that the environment names, or httpx's own; none where the URL needs no TLS.

    Raises:
        ConfigurationError: They cannot be read.
    """
    if httpx.URL(url).scheme == "http":
        # Reading them is a quarter of what a short sync takes of the processor.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise ConfigurationError(f"The sync cannot start: {UNREADABLE}.") from error
